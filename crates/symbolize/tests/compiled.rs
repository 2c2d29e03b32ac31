//! Programs compiled on the spot, whose answers their sources tell. Needs gcc, g++, binutils, xz.

use std::path::PathBuf;
use std::process::Command;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use profile::{NameSource, Svma};
use symbolize::{Files, FramePointer, Symbols, identify};

/// A scratch directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("compiled-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Runs a command line in the directory.
    fn run(&self, package: &str, line: &str) {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        let output = command.args(words).current_dir(&self.0).output().unwrap_or_else(|error| {
            panic!("{line}: {error}; `apt-get install {package}` brings it")
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}");
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn image(bytes: &[u8]) -> Symbols<'_> {
    Symbols::new(Files { image: Some(bytes), ..Files::default() }).unwrap()
}

/// (address, bytes) of a symbol.
fn symbol(bytes: &[u8], name: &str) -> (u64, u64) {
    let file = object::File::parse(bytes).unwrap();
    let symbol = file.symbols().find(|s| s.name() == Ok(name)).unwrap();
    (symbol.address(), symbol.size())
}

fn names(symbols: &Symbols<'_>, address: u64) -> Vec<(String, NameSource)> {
    let frames = symbols.lookup(Svma(address)).unwrap();
    frames.iter().map(|f| (f.name.to_string(), f.source)).collect()
}

const LIBRARY: &str = "
__attribute__((noinline)) static int hidden(int x) { return x * 3 + 1; }
__attribute__((noinline)) int shown(int x) { return hidden(x) ^ 5; }
int other(int x) { return shown(x) + hidden(x + 1); }
";

#[test]
fn mini_debug_info_names_what_the_dynamic_symbols_lack_and_the_other_way_round() {
    let scratch = Scratch::new("mini");
    scratch.write("a.c", LIBRARY);
    scratch.run("gcc", "gcc -O1 -shared -fPIC -o whole a.c");
    scratch.run("binutils", "objcopy -S -K hidden --remove-section=.gnu.hash whole inner");
    scratch.run("xz-utils", "xz -k -9 --check=crc32 inner");
    scratch.run("binutils", "strip -s -o stripped whole");
    scratch.run("binutils", "objcopy --add-section=.gnu_debugdata=inner.xz stripped with-mini");
    let (whole, file) = (scratch.read("whole"), scratch.read("with-mini"));
    assert!(identify(&file).unwrap().has_mini_debug_info);
    let symbols = image(&file);
    let (hidden, shown) = (symbol(&whole, "hidden"), symbol(&whole, "shown"));
    let expected = [("hidden".to_owned(), NameSource::MiniDebug)];
    assert_eq!(names(&symbols, hidden.0 + hidden.1 - 1), expected);
    assert_eq!(names(&symbols, shown.0), [("shown".to_owned(), NameSource::Dynsym)]);
    // The full table makes the small one needless.
    let files = Files { image: Some(&file), debug: Some(&whole), supplement: None };
    let both = Symbols::new(files).unwrap();
    assert_eq!(names(&both, hidden.0), [("hidden".to_owned(), NameSource::Symtab)]);
}

#[test]
fn a_library_without_a_section_table_answers_like_the_stripped_one() {
    let scratch = Scratch::new("sectionless");
    scratch.write("a.c", LIBRARY);
    for hash in ["gnu", "sysv", "both"] {
        scratch.run("gcc", &format!("gcc -O1 -shared -fPIC -s -Wl,--hash-style={hash} -o lib a.c"));
        let stripped = scratch.read("lib");
        let mut sectionless = stripped.clone();
        sectionless[0x28..0x30].fill(0); // e_shoff
        sectionless[0x3c..0x40].fill(0); // e_shnum, e_shstrndx
        let (with, without) = (image(&stripped), image(&sectionless));
        let text = object::File::parse(&*stripped).unwrap();
        let text = text.section_by_name(".text").unwrap();
        let (mut named, mut framed) = (0, 0);
        for address in (text.address()..text.address() + text.size()).map(Svma) {
            assert_eq!(with.lookup(address), without.lookup(address), "{hash} {address:?}");
            let frame_pointer = with.frame_pointer(address);
            assert_eq!(frame_pointer, without.frame_pointer(address), "{hash} {address:?}");
            named += usize::from(with.lookup(address).is_ok());
            framed += usize::from(frame_pointer != FramePointer::Unknown);
        }
        assert!(named > 10 && framed > 10, "{hash}: {named} with names, {framed} with rules");
        let (before, after) = (identify(&stripped).unwrap(), identify(&sectionless).unwrap());
        assert_eq!(before.build_id, after.build_id);
        assert!(after.has_dynsym);
    }
}

const MODULE: &str = "
extern int printk(const char *, ...);
static inline __attribute__((always_inline)) int scaled(int x) { return printk(\"%d\", x) * 3; }
__attribute__((noinline)) int first(int x) { return scaled(x) + 1; }
__attribute__((section(\".init.text\"))) int init_module(void) { return first(1); }
__attribute__((noinline)) int second(int x) { return first(x) + scaled(x); }
__attribute__((section(\".text.unlikely\"))) int third(int x) { return second(x) ^ 7; }
";

/// `ld -r` leaves addresses open, a link from 0 closes them as the kernel's loader does.
#[test]
fn a_kernel_module_is_asked_by_distances_from_its_first_byte() {
    let scratch = Scratch::new("module");
    scratch.write("a.c", MODULE);
    for options in ["-gdwarf-4", "-gdwarf-5", "-gdwarf-5 -gz=zlib"] {
        let options =
            format!("-O2 {options} -fno-pic -mcmodel=kernel -fno-asynchronous-unwind-tables");
        scratch.run("gcc", &format!("gcc {options} -c -o module.o a.c"));
        scratch.run("binutils", "ld -r -o module.ko module.o");
        let module = scratch.read("module.ko");
        let symbols = image(&module);
        let file = object::File::parse(&*module).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let unlikely = file.section_by_name(".text.unlikely").unwrap();
        for (name, address) in [
            ("first", symbol(&module, "first").0),
            ("second", symbol(&module, "second").0),
            ("third", text.size().next_multiple_of(unlikely.align())),
        ] {
            let frames = symbols.lookup(Svma(address)).unwrap();
            let frame = frames.last().unwrap();
            assert_eq!((&*frame.name, frame.source), (name, NameSource::Dwarf), "{options}");
            assert!(frame.file.as_ref().unwrap().ends_with("/a.c"), "{:?}", frame.file);
            let line = MODULE.lines().position(|l| l.contains(&format!(" {name}("))).unwrap();
            assert_eq!(frame.line, Some(line as u32 + 1), "{options} {name}");
        }
        let (second, bytes) = symbol(&module, "second");
        let inlined = (second..second + bytes)
            .filter(|a| symbols.lookup(Svma(*a)).unwrap()[0].name.as_ref() == "scaled");
        assert!(inlined.count() > 3);
        scratch.run("binutils", "objcopy --only-keep-debug module.ko module.debug");
        let debug = scratch.read("module.debug");
        let alone = Symbols::new(Files { debug: Some(&debug), ..Files::default() }).unwrap();
        for address in (0..text.size()).map(Svma) {
            assert_eq!(symbols.lookup(address), alone.lookup(address));
        }
    }
}

const SHAPES: &str = "
#define INLINE inline __attribute__((always_inline))
extern \"C\" int outside(int);
extern \"C\" int at_address_0(int x) { return x; }
namespace geometry {
static INLINE int turned(int x) { return outside(x) + 1; }
namespace { INLINE int hidden(int x) { return outside(x) + 2; } }
struct Shape {
    INLINE int area(int x) { return outside(x) + 3; }
    struct Part { INLINE static int count(int x); };
};
int Shape::Part::count(int x) { return outside(x) + 4; }
}
extern \"C\" int all(int x) {
    geometry::Shape shape;
    return geometry::turned(x) + geometry::hidden(x) + shape.area(x) + geometry::Shape::Part::count(x);
}
";

/// Strips what the linker would call them: only their place among the entries qualifies them.
#[test]
fn inlined_functions_stand_with_their_namespaces_and_classes() {
    let scratch = Scratch::new("scopes");
    scratch.write("a.cpp", SHAPES);
    for options in ["-gdwarf-4", "-gdwarf-5", "-g -gdwarf64"] {
        scratch.run("g++", &format!("g++ -O2 {options} -c -o a.o a.cpp"));
        let file = scratch.read("a.o");
        let symbols = image(&file);
        let (start, bytes) = symbol(&file, "all");
        let mut seen: Vec<String> = (start..start + bytes)
            .map(|address| symbols.lookup(Svma(address)).unwrap()[0].name.to_string())
            .map(|name| name.strip_suffix("(int)").unwrap_or(&name).to_owned())
            .collect();
        seen.sort();
        seen.dedup();
        let expected = [
            "all",
            "geometry::(anonymous namespace)::hidden",
            "geometry::Shape::Part::count",
            "geometry::Shape::area",
            "geometry::turned",
        ];
        assert_eq!(seen, expected, "{options}");
    }
}
