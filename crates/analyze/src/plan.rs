//! What a command line means: which files are read, which outputs are written.

use std::io;
use std::path::{Path, PathBuf};

use regex::Regex;
use render::SvgOptions;

use crate::Error;
use crate::analysis::Question;
use crate::callers::FunctionPattern;
use crate::cli::{self, Cli, FilterOptions, Format, SymbolOptions};
use crate::comparison::Comparing;
use crate::filter::{Filter, InputPath, Span};
use crate::locate::{Debuginfod, Search, is_packed_file};
use crate::sieve::Sieve;
use crate::stacks::Shape;

/// Everything that is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Files to read; `-` is standard input.
    pub inputs: Vec<InputPath>,
    /// Files to compare with; empty: no comparison.
    pub bases: Vec<InputPath>,
    /// What is printed and written, in order.
    pub outputs: Vec<Output>,
    /// The function of [`View::Callers`].
    pub callers_of: Option<FunctionPattern>,
    /// Title of pictures, where one was given.
    pub title: Option<String>,
    /// How SVG pictures are drawn.
    pub picture: SvgOptions,
    /// Whether what was written for a browser is opened in one.
    pub open: bool,
    /// Which samples count, of every input.
    pub filter: Filter,
    /// What is asked of the recordings.
    pub question: Question,
    /// Whether pictures and folded stacks begin with what costs, callers behind it.
    pub inverted: bool,
    /// What is asked of a comparison.
    pub comparing: Comparing,
    /// Where programs and debug files are looked for.
    pub search: Search,
    /// Whether names are kept from one run to the next.
    pub cache: bool,
    /// Whether an incomplete input is a failure.
    pub strict: bool,
}

/// One thing to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// What.
    pub view: View,
    /// Where.
    pub to: Destination,
}

/// What is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The summary, or with bases what changed.
    Summary,
    /// The functions that cost most, this many.
    Top(usize),
    /// The heaviest call paths.
    Tree,
    /// Who calls a function ([`Plan::callers_of`]), and what it calls.
    Callers,
    /// What the files hold.
    Info,
    /// The flamegraph.
    Svg,
    /// Everything, to be explored in a browser.
    Html,
    /// One line for each stack.
    Folded,
    /// pprof's format.
    Pprof,
    /// Everything, for programs.
    Json,
    /// Functions, for spreadsheets.
    Csv,
    /// For a postmortem or a pull request.
    Markdown,
}

/// Where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

const STDIN: &str = "-";

/// Steps of time that a comparison begins with: short enough to find out how long a block must be.
const COMPARED_STEPS: u32 = 240;

impl Plan {
    /// Works out what was meant.
    ///
    /// # Errors
    /// An output of unknown format, a search path that is not there, a directory without recordings.
    pub fn new(cli: &Cli) -> Result<Self, Error> {
        let inputs = expand(&cli.inputs)?;
        let bases = expand(&cli.diff)?;
        let outputs = outputs(cli, &inputs)?;
        for output in &outputs {
            spare_inputs(output, inputs.iter().chain(&bases).map(|input| &input.path))?;
        }
        let is_for_browsers = |output: &Output| {
            matches!(output.view, View::Svg | View::Html) && output.to != Destination::Stdout
        };
        if cli.open && !outputs.iter().any(is_for_browsers) {
            return Err(Error::NothingToOpen);
        }
        let mut question = question(cli)?;
        question.locations = outputs.iter().any(|output| output.view == View::Pprof);
        // A comparison's verdicts come from steps of time that do not depend on what is written.
        question.over_time = bases.is_empty() && outputs.iter().any(|o| o.view == View::Html);
        Ok(Self {
            inputs,
            bases,
            outputs,
            callers_of: cli.callers.as_deref().map(FunctionPattern::new),
            title: cli.title.clone(),
            picture: picture(cli),
            open: cli.open,
            filter: filter(&cli.filters)?,
            question,
            inverted: cli.inverted,
            comparing: Comparing {
                scale: cli.scale,
                work: cli.work.zip(cli.diff_work).map(|(new, base)| [new, base]),
                min_effect_percent: cli.min_effect,
                fail_on: cli.fail_on,
            },
            search: search(&cli.symbols, &cli.map_prefix)?,
            cache: !cli.symbols.no_cache,
            strict: cli.strict,
        })
    }
}

fn picture(cli: &Cli) -> SvgOptions {
    SvgOptions {
        static_only: cli.still,
        direction: match cli.direction {
            cli::Direction::Icicle => render::Direction::Icicle,
            cli::Direction::Flame => render::Direction::Flame,
        },
        coloring: match cli.color {
            cli::Coloring::Kind => render::Coloring::Kind,
            cli::Coloring::Module => render::Coloring::Module,
            cli::Coloring::Language => render::Coloring::Language,
        },
        ..SvgOptions::default()
    }
}

/// Directories stand for the recordings in them, in order of their names.
fn expand(given: &[PathBuf]) -> Result<Vec<InputPath>, Error> {
    let mut files = Vec::new();
    for given in given {
        if given.as_os_str() == "symbolize" && !given.exists() {
            return Err(Error::CommandNotFirst);
        }
        let input = InputPath::parse(given)
            .map_err(|source| Error::Filter { option: given.display().to_string(), source })?;
        let InputPath { path, filter, .. } = &input;
        if !path.is_dir() {
            files.push(input);
            continue;
        }
        let failed = |source| Error::Read { path: path.clone(), source };
        let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(failed)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.extension().is_some_and(|e| e == "arc"))
            .collect();
        if inside.is_empty() {
            return Err(Error::EmptyDirectory { path: path.clone() });
        }
        inside.sort_unstable();
        let input = |path| InputPath { path, filter: filter.clone(), from_directory: true };
        files.extend(inside.into_iter().map(input));
    }
    Ok(files)
}

/// What the filter options say.
fn filter(options: &FilterOptions) -> Result<Filter, Error> {
    let mut filter =
        Filter { pids: options.pid.clone(), cpus: options.cpu.clone(), ..Filter::default() };
    for (key, values) in [
        ("comm", &options.comm),
        ("thread", &options.thread),
        ("cgroup", &options.cgroup),
        ("host", &options.host),
        ("label", &options.label),
        ("module", &options.module),
        ("build-id", &options.build_id),
    ] {
        for value in values {
            let failed = |source| Error::Filter { option: format!("--{key}"), source };
            filter.add(key, value).map_err(failed)?;
        }
    }
    let (from, to) = (options.from.as_deref(), options.to.as_deref());
    if from.is_some() || to.is_some() {
        filter.times.push(Span::of_options(from, to).map_err(Error::Time)?);
    }
    if let Some(last) = &options.last {
        filter.times.push(Span::last(last).map_err(Error::Time)?);
    }
    Ok(filter)
}

/// What is asked of the recordings.
fn question(cli: &Cli) -> Result<Question, Error> {
    let expressions = |option: &'static str, given: &[String]| {
        let compile =
            |text: &String| Regex::new(text).map_err(|source| Error::Expression { option, source });
        given.iter().map(compile).collect::<Result<Vec<_>, _>>()
    };
    let filters = &cli.filters;
    Ok(Question {
        by: cli.by.clone(),
        shape: Shape { kernel: !cli.no_kernel, inlines: !cli.no_inlines },
        sieve: Sieve {
            focus: expressions("--focus", &filters.focus)?,
            ignore: expressions("--ignore", &filters.ignore)?,
            hide: expressions("--hide", &filters.hide)?,
            fold_recursion: cli.fold_recursion,
        },
        event: cli.event.clone(),
        steps: if cli.diff.is_empty() { 1 } else { COMPARED_STEPS },
        over_time: false,
        locations: false,
    })
}

/// Refuses to write over what is read.
fn spare_inputs<'a>(
    output: &Output,
    mut inputs: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), Error> {
    let Destination::File(path) = &output.to else { return Ok(()) };
    let Ok(real) = path.canonicalize() else { return Ok(()) };
    if inputs.any(|input| input.canonicalize().is_ok_and(|input| input == real)) {
        return Err(Error::NotReplaced { path: path.clone(), what: "one of the inputs" });
    }
    Ok(())
}

fn outputs(cli: &Cli, inputs: &[InputPath]) -> Result<Vec<Output>, Error> {
    let mut outputs = Vec::new();
    let mut print = |view| outputs.push(Output { view, to: Destination::Stdout });
    if cli.info {
        print(View::Info);
    }
    if let Some(rows) = cli.top {
        print(View::Top(rows));
    }
    if cli.tree {
        print(View::Tree);
    }
    if cli.callers.is_some() {
        print(View::Callers);
    }
    for path in &cli.output {
        let stdout = path.as_os_str() == STDIN;
        let named = if stdout { Some(Format::Txt) } else { Format::of(path) };
        let format = match (cli.format, named) {
            (Some(format), _) | (None, Some(format)) => format,
            (None, None) => return Err(Error::UnknownFormat { path: path.clone() }),
        };
        let one_sided = matches!(format, Format::Folded | Format::Pprof);
        if one_sided && !cli.diff.is_empty() {
            return Err(Error::NoDiffFormat { path: path.clone() });
        }
        let view = match format {
            Format::Svg => View::Svg,
            Format::Html => View::Html,
            Format::Folded => View::Folded,
            Format::Pprof => View::Pprof,
            Format::Json => View::Json,
            Format::Csv => View::Csv,
            Format::Md => View::Markdown,
            Format::Txt => View::Summary,
        };
        let to = if stdout { Destination::Stdout } else { Destination::File(path.clone()) };
        outputs.push(Output { view, to });
    }
    if outputs.is_empty() {
        outputs.push(Output { view: View::Summary, to: Destination::Stdout });
        if let Some(path) = default_picture(cli.inputs.len(), inputs, !cli.diff.is_empty()) {
            outputs.push(Output { view: View::Svg, to: Destination::File(path) });
        }
    }
    Ok(outputs)
}

/// Where the picture goes that nobody named: beside a single input, else here; nowhere when the input
/// has no name.
fn default_picture(given: usize, files: &[InputPath], is_diff: bool) -> Option<PathBuf> {
    let extension = if is_diff { "diff.svg" } else { "svg" };
    match files {
        [file] if given == 1 && !file.from_directory => {
            (file.path.as_os_str() != STDIN).then(|| picture_beside(&file.path, extension))
        }
        _ => Some(Path::new("analyze").with_extension(extension)),
    }
}

/// `X.arc` → `X.svg`; a name without `.arc` keeps all of itself, so that it is never overwritten.
fn picture_beside(file: &Path, extension: &str) -> PathBuf {
    if file.extension().is_some_and(|e| e == "arc") {
        return file.with_extension(extension);
    }
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(extension);
    file.with_file_name(name)
}

/// Where files are looked for.
///
/// # Errors
/// A search path that is not there or packed, a prefix without `=`.
pub fn search(options: &SymbolOptions, map_prefix: &[String]) -> Result<Search, Error> {
    let exists = |option: &'static str, path: &Path| match std::fs::metadata(path) {
        Ok(_) => Ok(path.to_path_buf()),
        Err(source) => Err(Error::SearchPath { option, path: path.into(), source }),
    };
    let split = |given: &String| match given.split_once('=') {
        Some((from, to)) if !from.is_empty() => Ok((from.as_bytes().to_vec(), PathBuf::from(to))),
        _ => Err(Error::MapPrefix { given: given.clone() }),
    };
    let sysroot = options.sysroot.as_deref().map(|path| match exists("--sysroot", path) {
        Ok(path) if !path.is_dir() => Err(Error::SearchPath {
            option: "--sysroot",
            path,
            source: io::Error::from(io::ErrorKind::NotADirectory),
        }),
        other => other,
    });
    Ok(Search {
        debug_dirs: options
            .debug_dir
            .iter()
            .map(|path| match exists("--debug-dir", path)? {
                path if is_packed_file(&path) => Err(Error::Packed { path }),
                path => Ok(path),
            })
            .collect::<Result<_, _>>()?,
        sysroot: sysroot.transpose()?,
        map_prefix: map_prefix.iter().map(split).collect::<Result<_, _>>()?,
        system_debug: vec!["/usr/lib/debug".into()],
        perf_cache: std::env::home_dir().map(|home| home.join(".debug")),
        debuginfod: match options.debuginfod.as_slice() {
            [] => None,
            given => Some(Debuginfod::new(given, |name| std::env::var_os(name))?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn plan(arguments: &str) -> Result<Plan, Error> {
        Plan::new(&Cli::parse_from(std::iter::once("analyze").chain(arguments.split_whitespace())))
    }

    fn outputs(arguments: &str) -> Vec<(View, String)> {
        let shown = |to: Destination| match to {
            Destination::Stdout => "-".to_owned(),
            Destination::File(path) => path.display().to_string(),
        };
        plan(arguments).unwrap().outputs.into_iter().map(|o| (o.view, shown(o.to))).collect()
    }

    #[test]
    fn without_an_output_there_is_a_summary_and_a_picture_beside_the_input() {
        let summary = (View::Summary, "-".to_owned());
        let picture = |path: &str| (View::Svg, path.to_owned());
        assert_eq!(outputs("d/run.arc"), [summary.clone(), picture("d/run.svg")]);
        assert_eq!(outputs("d/run"), [summary.clone(), picture("d/run.svg")]);
        assert_eq!(outputs("d/run.1"), [summary.clone(), picture("d/run.1.svg")]);
        assert_eq!(outputs("a.arc --diff b.arc"), [summary.clone(), picture("a.diff.svg")]);
        assert_eq!(outputs("a.arc b.arc"), [summary.clone(), picture("analyze.svg")]);
        assert_eq!(
            outputs("a.arc b.arc --diff c.arc"),
            [summary.clone(), picture("analyze.diff.svg")]
        );
        assert_eq!(outputs("-"), [summary]);
    }

    #[test]
    fn with_an_output_there_is_nothing_else() {
        assert_eq!(
            outputs("a.arc -o x.folded -o -"),
            [(View::Folded, "x.folded".to_owned()), (View::Summary, "-".to_owned())]
        );
        assert_eq!(outputs("a.arc -o - --format svg"), [(View::Svg, "-".to_owned())]);
        assert_eq!(outputs("a.arc --top"), [(View::Top(30), "-".to_owned())]);
        assert_eq!(outputs("--top=5 a.arc"), [(View::Top(5), "-".to_owned())]);
        assert_eq!(
            outputs("--top --info a.arc"),
            [(View::Info, "-".to_owned()), (View::Top(30), "-".to_owned())]
        );
        assert!(matches!(plan("a.arc -o x.pdf"), Err(Error::UnknownFormat { .. })));
        assert!(matches!(plan("a.arc --diff b.arc -o x.folded"), Err(Error::NoDiffFormat { .. })));
    }

    #[test]
    fn an_input_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.arc");
        std::fs::write(&path, "").unwrap();
        let at = path.display();
        let over = plan(&format!("other.arc --diff {at} -o {at} --format svg"));
        assert!(matches!(over, Err(Error::NotReplaced { what: "one of the inputs", .. })));
    }

    #[test]
    fn a_directory_stands_for_the_recordings_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        assert!(matches!(plan(&at), Err(Error::EmptyDirectory { .. })));
        for name in ["b.arc", "a.arc", "a.svg"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let plan = plan(&at).unwrap();
        let paths: Vec<&Path> = plan.inputs.iter().map(|input| input.path.as_path()).collect();
        assert_eq!(paths, [dir.path().join("a.arc"), dir.path().join("b.arc")]);
        assert_eq!(plan.outputs[1].to, Destination::File("analyze.svg".into()));
    }

    #[test]
    fn search_paths_must_be_there() {
        assert!(matches!(
            plan("a.arc --debug-dir ./not-there"),
            Err(Error::SearchPath { option: "--debug-dir", .. })
        ));
        assert!(matches!(plan("a.arc --map-prefix usr"), Err(Error::MapPrefix { .. })));
        let plan = plan("a.arc --map-prefix /a=/b --map-prefix /c/=d").unwrap();
        assert_eq!(plan.search.map_prefix[1], (b"/c/".to_vec(), PathBuf::from("d")));
        assert!(plan.search.debuginfod.is_none(), "nobody is asked without being told to");
    }

    #[test]
    fn servers_stand_behind_an_equals_sign() {
        let servers = |arguments: &str| {
            let servers = plan(arguments)?.search.debuginfod.unwrap().servers;
            Ok(servers.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let two = servers("a.arc --debuginfod=http://x --debuginfod=https://y/z").unwrap();
        assert_eq!(two, ["http://x/", "https://y/z"]);
        let refused: Result<_, Error> = servers("a.arc --debuginfod=/srv/files");
        assert!(matches!(refused, Err(Error::Debuginfod(_))));
    }
}
