//! Answers compared with other tools' on programs built here. Each test needs compilers and tools
//! and says which Debian package brings the one that is missing.

mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use profile::{NameSource, Svma};
use symbolize::{Files, SourceFrame, Symbols, identify};
use tools::{Frame, Scratch, llvm_symbolizer, run};

const C: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static inline unsigned mix(unsigned h, unsigned char c) { h ^= c; return h * 16777619u; }
static unsigned hash(const char *s) { unsigned h = 2166136261u; while (*s) h = mix(h, *s++); return h; }
struct node { struct node *next; char key[16]; int value; };
static struct node *table[64];
static struct node *find(const char *key) {
    for (struct node *n = table[hash(key) % 64]; n; n = n->next) if (!strcmp(n->key, key)) return n;
    return NULL;
}
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
__attribute__((noinline)) static void add(const char *key, int value) {
    struct node *n = find(key);
    if (!n) {
        n = calloc(1, sizeof *n);
        if (!n) { perror("calloc"); abort(); }
        unsigned at = hash(key) % 64;
        strncpy(n->key, key, sizeof n->key - 1);
        n->next = table[at];
        table[at] = n;
    }
    n->value += value;
}
int main(int argc, char **argv) {
    int values[256], count = 0;
    for (int i = 0; i < 10000 * argc; i++) { char k[16]; snprintf(k, sizeof k, "k%d", i % 200); add(k, i); }
    for (int i = 0; i < 64; i++) for (struct node *n = table[i]; n && count < 256; n = n->next) values[count++] = n->value;
    qsort(values, count, sizeof *values, compare);
    printf("%d %s\n", values[count / 2], argv[0]);
    return 0;
}
"#;

const CPP: &str = r#"
#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
#include <cstdio>
struct Shape { virtual double area() const = 0; virtual ~Shape() {} };
struct Square : Shape { double s; explicit Square(double s) : s(s) {} double area() const override { return s * s; } };
template <class T> static inline T twice(T x) { return x + x; }
namespace deep {
static int inlined(int a) { return twice(a) * 3; }
int work(int n) { int t = 0; for (int i = 0; i < n; i++) t += inlined(i) ^ n; return t; }
}
int main(int argc, char **) {
    std::map<std::string, std::vector<int>> groups;
    for (int i = 0; i < 1000; i++) groups[std::to_string(i % 17)].push_back(deep::work(i));
    std::vector<Shape *> shapes;
    for (int i = 0; i < 10; i++) shapes.push_back(new Square(i));
    double sum = 0;
    for (auto *shape : shapes) sum += shape->area();
    std::vector<std::string> keys;
    for (auto &group : groups) {
        std::sort(group.second.begin(), group.second.end(), [](int a, int b) { return a > b; });
        keys.push_back(group.first);
    }
    std::sort(keys.begin(), keys.end(), std::greater<std::string>());
    try { if (argc > 5) throw std::runtime_error("many"); } catch (std::exception &e) { puts(e.what()); }
    printf("%f %s\n", sum, keys[0].c_str());
}
"#;

const GO: &str = r#"
package main

import (
	"fmt"
	"os"
	"sort"
)

type Pair[K comparable, V any] struct {
	Key K
	Val V
}

func (p Pair[K, V]) Show() string { return fmt.Sprint(p.Key, p.Val) }

func main() {
	words := append([]string{"b", "a"}, os.Args...)
	sort.Slice(words, func(i, j int) bool { return words[i] < words[j] })
	fmt.Println(Pair[string, int]{words[0], len(words)}.Show())
}
"#;

fn write(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.0.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn addresses_of_text(bytes: &[u8], count: u64) -> Vec<u64> {
    let file = object::File::parse(bytes).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let step = (text.size() / count).max(1);
    (0..text.size() / step).map(|i| text.address() + i * step).collect()
}

/// Names that stand for the same code.
fn aliases(bytes: &[u8]) -> BTreeMap<String, u64> {
    let file = object::File::parse(bytes).unwrap();
    file.symbols().map(|s| (s.name().unwrap().to_owned(), s.address())).collect()
}

fn compare_with_llvm(file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let symbols = Symbols::new(Files { image: Some(&bytes), ..Files::default() }).unwrap();
    let addresses = addresses_of_text(&bytes, 2_000);
    let starts = aliases(&bytes);
    let start_of = |name: &String| starts.get(name).copied();
    let mut compared = 0;
    for (address, mut theirs) in addresses.iter().zip(llvm_symbolizer(file, &addresses)) {
        theirs.iter_mut().for_each(|frame| frame.start_line = 0);
        let Ok(ours) = symbols.lookup(Svma(*address)) else {
            // Between functions, where the other side may still state a line.
            assert_eq!(theirs.last().unwrap().name, "??", "{address:#x}: we say nothing");
            continue;
        };
        let ours: Vec<Frame> = ours
            .iter()
            .map(|f| {
                let (name, file) = (f.raw_name.to_string(), f.file.as_deref().unwrap_or("??"));
                Frame { name, file: file.to_owned(), line: f.line.unwrap_or(0), start_line: 0 }
            })
            .collect();
        let (our_last, their_last) = (ours.last().unwrap(), theirs.last().unwrap());
        assert_eq!(
            ours[..ours.len() - 1],
            theirs[..theirs.len() - 1],
            "{address:#x}: inlined calls"
        );
        let same_function = our_last.name == their_last.name
            || start_of(&our_last.name).is_some_and(|s| Some(s) == start_of(&their_last.name));
        assert!(same_function, "{address:#x}: {our_last:?} and {their_last:?}");
        // The C start-up code has no line; the other side names its file from the symbol table.
        if their_last.line != 0 {
            assert_eq!(our_last.line, their_last.line, "{address:#x}: line");
            assert_eq!(our_last.file, their_last.file, "{address:#x}: file");
        }
        compared += 1;
    }
    assert!(compared * 10 > addresses.len() * 8, "only {compared} of {}", addresses.len());
}

#[test]
fn c_and_cpp_programs_agree_with_llvm_symbolizer() {
    let scratch = Scratch::new("llvm");
    let (c, cpp) = (write(&scratch, "a.c", C), write(&scratch, "a.cpp", CPP));
    for (compiler, package, source) in [("gcc", "gcc", &c), ("g++", "g++", &cpp)] {
        for options in [["-g", "-O2"], ["-gdwarf-4", "-O2"], ["-g", "-O0"]] {
            let program = scratch.0.join(format!("{compiler}{}{}", options[0], options[1]));
            run(compiler, package, |c| c.args(options).arg("-o").arg(&program).arg(source));
            compare_with_llvm(&program);
        }
    }
}

#[test]
fn compressed_split_and_shared_debug_information_answer_like_the_plain_one() {
    let scratch = Scratch::new("split");
    let source = write(&scratch, "a.cpp", CPP);
    let path = |name: &str| scratch.0.join(name);
    run("g++", "g++", |c| c.args(["-g", "-O2", "-o"]).arg(path("plain")).arg(&source));
    let plain = std::fs::read(path("plain")).unwrap();
    let addresses = addresses_of_text(&plain, 2_000);
    let answers = |files: Files<'_>| -> Vec<_> {
        let symbols = Symbols::new(files).unwrap();
        addresses.iter().map(|a| symbols.lookup(Svma(*a))).collect()
    };
    let expected = answers(Files { image: Some(&plain), ..Files::default() });
    for how in ["zlib", "zlib-gnu", "zstd"] {
        run("objcopy", "binutils", |c| {
            c.arg(format!("--compress-debug-sections={how}")).arg(path("plain")).arg(path(how))
        });
        let bytes = std::fs::read(path(how)).unwrap();
        assert!(bytes.len() < plain.len());
        assert!(answers(Files { image: Some(&bytes), ..Files::default() }) == expected, "{how}");
    }
    // dwz moves what two programs share into a third file.
    for twin in ["one", "two"] {
        std::fs::copy(path("plain"), path(twin)).unwrap();
    }
    run("dwz", "dwz", |c| {
        c.current_dir(&scratch.0).args(["-m", "shared", "-M", "shared", "one", "two"])
    });
    let (one, shared) =
        (std::fs::read(path("one")).unwrap(), std::fs::read(path("shared")).unwrap());
    let link = identify(&one).unwrap().alt_link.unwrap();
    assert_eq!(link.name.lossy(), "shared");
    assert_eq!(link.build_id, identify(&shared).unwrap().build_id);
    let files = Files { image: Some(&one), debug: None, supplement: Some(&shared) };
    assert!(answers(files) == expected, "dwz");
}

/// Builds with and without C, then compares each function of the symbol table with the pclntab's
/// answer from the stripped twin, and gobin's reading of that twin.
#[test]
fn stripped_go_programs_name_every_function() {
    let scratch = Scratch::new("go");
    let source = write(&scratch, "main.go", GO);
    for (cgo, mode) in [("0", "exe"), ("1", "exe"), ("0", "pie")] {
        let full = scratch.0.join(format!("full-{cgo}-{mode}"));
        run("go", "golang-go", |c| {
            c.env("GO111MODULE", "off").env("GOCACHE", scratch.0.join("cache"));
            c.env("GOFLAGS", "").env("CGO_ENABLED", cgo).args(["build", "-buildmode", mode, "-o"]);
            c.arg(&full).arg(&source)
        });
        let stripped = full.with_extension("stripped");
        run("strip", "binutils", |c| c.arg("-s").arg("-o").arg(&stripped).arg(&full));
        let (full, stripped) = (std::fs::read(&full).unwrap(), std::fs::read(&stripped).unwrap());
        compare_go(&full, &stripped);
    }
}

fn compare_go(full: &[u8], stripped: &[u8]) {
    let open = |bytes| Symbols::new(Files { image: Some(bytes), ..Files::default() }).unwrap();
    let mut sectionless = stripped.to_vec();
    sectionless[0x28..0x30].fill(0);
    sectionless[0x3c..0x40].fill(0);
    let (whole, stripped_symbols, sectionless) = (open(full), open(stripped), open(&sectionless));
    let oracle = gobin::GoBinary::parse(stripped).unwrap();
    let theirs: BTreeSet<String> = oracle.functions().map(|f| f.name.to_string()).collect();
    let (mut go, mut c) = (0, 0);
    let file = object::File::parse(full).unwrap();
    for symbol in file.symbols().filter(|s| s.kind() == object::SymbolKind::Text && s.size() > 0) {
        let name = symbol.name().unwrap();
        let last = Svma(symbol.address() + symbol.size() - 1);
        let answer = whole.lookup(last).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        let frame = answer.last().unwrap();
        if frame.source != NameSource::Pclntab {
            c += 1;
            continue;
        }
        go += 1;
        // Go 1.19 and 1.20 abbreviate type arguments in the table itself; `.abi0` is no name.
        let plain = name.trim_end_matches(".abi0");
        let abbreviated = plain.split('[').next() == frame.raw_name.split("[...]").next();
        assert!(*frame.raw_name == *plain || abbreviated, "{name} and {}", frame.raw_name);
        assert!(theirs.contains(&*frame.raw_name), "{name} is unknown to the oracle");
        for other in [&stripped_symbols, &sectionless] {
            assert_eq!(other.lookup(last).unwrap(), answer);
        }
    }
    assert!(go > 1_000, "{go} Go functions");
    assert!(c < 200, "{c} other functions");
    compare_chains_with_dwarf(full, &stripped_symbols);
}

/// The stripped program's inlined calls and lines with what DWARF says of its twin. (All releases, and
/// exactly what differs: `go_campaign.rs`.)
fn compare_chains_with_dwarf(full: &[u8], stripped: &Symbols<'_>) {
    let dwarf = Symbols::new(Files { debug: Some(full), ..Files::default() }).unwrap();
    let (mut compared, mut inlined, mut same) = (0, 0, 0);
    for address in addresses_of_text(full, 5_000) {
        let answers = (stripped.lookup(Svma(address)), dwarf.lookup(Svma(address)));
        let (Ok(ours), Ok(theirs)) = answers else { continue };
        // Wrappers, which the runtime and so we leave out, have no file of their own.
        let wrapper = |f: &SourceFrame| {
            f.file.as_deref().is_some_and(|file| file.ends_with("<autogenerated>"))
        };
        if ours[0].source != NameSource::Pclntab || theirs.iter().any(wrapper) {
            continue;
        }
        let key = |f: &SourceFrame| {
            let name = f.raw_name.split('[').next().unwrap().trim_end_matches(".abi0").to_owned();
            (name, f.file.clone(), f.line)
        };
        compared += 1;
        inlined += usize::from(ours.len() > 1);
        same += usize::from(ours.iter().map(key).eq(theirs.iter().map(key)));
    }
    assert!(compared > 3_000 && inlined > 300, "{compared} compared, {inlined} inlined");
    assert!(same * 1_000 >= compared * 995, "{same} of {compared} are the same");
}
