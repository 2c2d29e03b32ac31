//! The bill as text.

use std::collections::BTreeSet;

use profile::Text;
use render::safe_text::clean;

use super::commands::{commands, word};
use super::{Item, Why, nameless, without_lines};
use crate::analysis::Analysis;
use crate::wording::{count, percent};

/// Modules listed of each kind.
const LISTED: usize = 15;

/// Writes the bill, if there is any. `inputs` is how the recordings are named on a command line.
pub fn write(out: &mut String, analysis: &Analysis, inputs: &[String]) {
    let nameless = nameless(analysis);
    let without_lines = without_lines(analysis, &nameless);
    let whole = analysis.total.weight;
    if !nameless.is_empty() {
        out.push_str(
            "\nMissing names by what they cost: self in code without a name, total with all it called\n",
        );
        table(out, &nameless, whole, "why");
    }
    let mendable = analysis.modules.iter().fold(0u64, |s, m| s.saturating_add(m.mendable_weight));
    if mendable > 0 {
        out.push_str(&format!(
            "Files that are not here would also mend stacks of {} of the CPU time, which end in their \
             code.\n",
            percent(mendable.min(whole), whole)
        ));
    }
    if !without_lines.is_empty() {
        out.push_str("\nNames, but neither inlined calls nor lines\n");
        table(out, &without_lines, whole, "names from");
    }
    let items: Vec<Item> =
        listed(&nameless).iter().chain(listed(&without_lines)).cloned().collect();
    if items.iter().any(|item| item.why.wants_a_file()) {
        out.push_str("\n  mkdir -p ./debug\n");
        for command in commands(&items) {
            out.push_str(&format!("  {command}\n"));
        }
        // Who was asked already has nothing.
        let servers = analysis.fetched.is_none()
            && items.iter().any(|i| i.why.wants_debug_file() && !i.build_id.is_empty());
        let option = if servers { " --debuginfod" } else { "" };
        let inputs: Option<Vec<String>> = inputs.iter().map(|input| word(input)).collect();
        if let Some(inputs) = inputs {
            out.push_str(&format!("  analyze {} --debug-dir ./debug{option}\n", inputs.join(" ")));
        }
        if servers {
            out.push_str(
                "--debuginfod asks the servers that DEBUGINFOD_URLS names for debug files.\n",
            );
        }
    }
    let notes: BTreeSet<String> = items.iter().filter_map(note).collect();
    for note in notes {
        out.push_str(&format!("{note}\n"));
    }
}

fn listed(items: &[Item]) -> &[Item] {
    &items[..items.len().min(LISTED)]
}

fn table(out: &mut String, items: &[Item], whole: u64, why: &str) {
    out.push_str(&format!("    self    total  {why:<21}  {:<40}  module\n", "build-id"));
    for item in listed(items) {
        let build_id =
            if item.build_id.is_empty() { "none".into() } else { item.build_id.to_string() };
        out.push_str(&format!(
            "{:>8} {:>8}  {:<21}  {build_id:<40}  {}\n",
            percent(item.weight.self_weight, whole),
            percent(item.weight.total.min(whole), whole),
            item.why.describe(),
            module(item)
        ));
    }
    if let Some(rest @ [_, ..]) = items.get(LISTED..) {
        let weight = rest.iter().map(|item| item.weight.self_weight).sum();
        let more = count(rest.len() as u64);
        out.push_str(&format!("{:>8}           … and {more} more\n", percent(weight, whole)));
    }
}

fn module(item: &Item) -> String {
    let path = clean(&item.path.lossy()).into_owned();
    match item.why {
        Why::RunTimeCode(_) if path.is_empty() => "run-time code".into(),
        Why::RunTimeCode(_) => format!("run-time code of {path}"),
        _ => path,
    }
}

/// What no command can say.
fn note(item: &Item) -> Option<String> {
    let name = |text: &Text| clean(&text.lossy()).into_owned();
    match item.why {
        Why::Deleted => Some(
            "A file deleted on the host must come from where it was built or installed from; its \
             build-id tells the right one."
                .into(),
        ),
        Why::Stripped => Some(
            "A stripped program that no server knows: the file it was stripped from has the same \
             build-id; put that into ./debug."
                .into(),
        ),
        Why::RunTimeCode(runtime) => {
            Some(format!("For names of {}: {}, and record again.", module(item), runtime.advice()))
        }
        Why::Hidden => Some(format!(
            "For names of {}'s kernel: `sysctl kernel.kptr_restrict=1` there, and record again as \
             root or with CAP_SYSLOG.",
            name(&item.host)
        )),
        Why::NotCopied if item.build_id.is_empty() => Some(format!(
            "For names of {}'s kernel: its build-id is not recorded; `perf record` states it when it \
             writes a file and does not compress (-z).",
            name(&item.host)
        )),
        Why::NotCopied => Some(format!(
            "For names of {}'s kernel: `perf archive` there packs a copy of them; unpack it here and \
             give its folder by --debug-dir.",
            name(&item.host)
        )),
        Why::NoKernelLines => Some(format!(
            "For the kernel: ./debug needs the vmlinux of that build-id, from the package of debug \
             symbols of Linux {}.",
            name(&item.kernel_release)
        )),
        _ => None,
    }
}
