//! Outputs for other tools and other places: JSON after its published schema, CSV, Markdown.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::made::{Desk, Made, golden};
use crate::testdata::{case, command, printed};

const WAIT: &str = "_start main serve wait_events|do_syscall_64 __x64_sys_epoll_wait";

fn recording(waits: u64) -> Vec<u8> {
    let mut facts = crate::made::facts();
    facts.recording_id = [waits as u8; 16];
    let mut run = Made::with(&facts, &crate::made::server_module("/srv/server"));
    run.ran("server", WAIT, waits).ran("server", "_start main work", 62);
    run.finish()
}

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/analyze.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What of a value its schema forbids; the parts of JSON Schema that ours uses, and no others.
fn violations(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                violations(root, &root["$defs"][name], value, at, found);
                true
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" => rule.as_array().unwrap().iter().any(|one| {
                let mut none = Vec::new();
                violations(root, one, value, at, &mut none);
                none.is_empty()
            }),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("{other} is no type"),
                };
                rule.as_array().map_or_else(|| is(rule), |any| any.iter().any(is))
            }
            "required" => {
                let keys = rule.as_array().unwrap();
                keys.iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    violations(root, rule, item, &format!("{at}/{index}"), found);
                }
                true
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    if let Some(inner) = value.get(key) {
                        violations(root, rule, inner, &format!("{at}/{key}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let more = value.as_object().into_iter().flatten();
                let more: Vec<_> =
                    more.filter(|(key, _)| known.is_none_or(|k| !k.contains_key(*key))).collect();
                if rule.is_object() {
                    for (key, inner) in &more {
                        violations(root, rule, inner, &format!("{at}/{key}"), found);
                    }
                }
                rule.is_object() || more.is_empty()
            }
            "$schema" | "$defs" | "title" | "description" => true,
            other => panic!("{other} is not checked"),
        };
        if !holds {
            found.push(format!("{at}: {keyword}"));
        }
    }
}

/// A document that follows the schema.
fn checked(text: &str) -> Value {
    let (schema, value) = (schema(), serde_json::from_str(text).unwrap());
    let mut found = Vec::new();
    violations(&schema, &schema, &value, "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    value
}

#[test]
fn json_follows_its_schema_whatever_went_in() {
    for (name, arguments) in [
        ("go", "service.arc"),
        ("mixed", "mixed.arc --comm x*"),
        ("mixed", "mixed.arc"),
        ("stripped", "blend.arc"),
        ("pprof", "heap.pb.gz"),
        ("go", "expected/stacks.folded"),
        ("story", "spin.arc --diff fixed.arc"),
        ("pprof", "cpu.pb.gz --diff cpu.pb.gz"),
    ] {
        let mut command = command(&case(name), &format!("{arguments} --format json --no-cache"));
        let output = command.output().unwrap();
        if arguments.contains("--comm") {
            assert_eq!(output.status.code(), Some(2), "there is no such process");
            continue;
        }
        let value = checked(std::str::from_utf8(&output.stdout).unwrap());
        let is_comparison = arguments.contains("--diff");
        assert_eq!(value["kind"], if is_comparison { "comparison" } else { "profile" });
    }
}

#[test]
fn a_schema_that_does_not_fit_is_noticed() {
    let desk = Desk::with(&[("run.arc", recording(40))]);
    let mut value = checked(&desk.analyze("run.arc -o - --format json").stdout);
    value["new"]["total"]["samples"] = "many".into();
    value["surplus"] = 1.into();
    value.as_object_mut().unwrap().remove("tool");
    let schema = schema();
    let mut found = Vec::new();
    violations(&schema, &schema, &value, "", &mut found);
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let expected = [": additionalProperties", ": required", "/new/total/samples: type"];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn json_says_what_the_summary_says() {
    let desk = Desk::with(&[("base.arc", recording(40)), ("run.arc", recording(240))]);
    let value = checked(&desk.analyze("run.arc -o - --format json").stdout);
    assert_eq!(value["new"]["total"]["weight"], 302 * crate::made::PERIOD_NS);
    assert_eq!(value["new"]["total"]["samples"], 302);
    let first = &value["functions"][0];
    assert_eq!(first["name"], "__x64_sys_epoll_wait");
    assert_eq!(
        (&first["kind"], &first["self"]),
        (&"kernel".into(), &(240 * crate::made::PERIOD_NS).into())
    );
    let value = checked(&desk.analyze("run.arc --diff base.arc -o - --format json").stdout);
    let text = desk.analyze("run.arc --diff base.arc -o -").stdout;
    assert!(text.starts_with(value["comparison"]["story"]["total"].as_str().unwrap()), "{text}");
    let first = &value["functions"][0];
    assert_eq!(first["name"], "__x64_sys_epoll_wait");
    assert!((first["self"]["delta"].as_f64().unwrap() - 0.2).abs() < 1e-9, "{first:#}");
}

#[test]
fn csv_and_markdown_of_a_recording_and_of_a_comparison() {
    let desk = Desk::with(&[("base.arc", recording(40)), ("run.arc", recording(240))]);
    desk.analyze("run.arc -o x.csv -o x.md -o x.json");
    assert_eq!(desk.files(), ["base.arc", "run.arc", "x.csv", "x.json", "x.md"]);
    golden("functions.csv", &desk.read("x.csv"));
    golden("profile.md", &desk.read("x.md"));
    desk.analyze("run.arc --diff base.arc -o diff.csv -o diff.md");
    let csv = desk.read("diff.csv");
    assert!(
        csv.lines().nth(1).unwrap().starts_with("__x64_sys_epoll_wait,[kernel],kernel,0.04,0.24,"),
        "{csv}"
    );
    let markdown = desk.read("diff.md");
    assert!(markdown.starts_with("### base.arc → run.arc\n\n**"), "{markdown}");
    assert!(markdown.contains("| +0.20 | 0.040 | 0.24 |"), "{markdown}");
}

#[test]
fn an_html_report_says_in_its_markup_what_the_summary_says() {
    let desk = Desk::with(&[("base.arc", recording(40)), ("run.arc", recording(240))]);
    desk.analyze("run.arc -o x.html --title Why?");
    let html = desk.read("x.html");
    assert!(html.starts_with("<!DOCTYPE html>\n"), "{html}");
    for said in ["<h1>Why?</h1>", "3.02 CPU-seconds", "<h2>run.arc</h2>", "<dt>Lost</dt>"] {
        assert!(html.contains(said), "{said}");
    }
    assert!(html.contains("<code>__x64_sys_epoll_wait</code>"), "the outline names what costs");
    desk.analyze("run.arc --diff base.arc -o diff.html -o diff.txt");
    let html = desk.read("diff.html");
    let story = desk.read("diff.txt");
    let first = story.lines().next().unwrap();
    assert!(html.contains(&format!("<p class=\"subtitle\">{first}</p>")), "{first}");
    for said in ["<h2>New: run.arc</h2>", "<h2>Base: base.arc</h2>", "data-verdict=\"0\""] {
        assert!(html.contains(said), "{said}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let evil = b"main;=cmd|' /C calc'!A0;</td><script>alert(1)</script>;a```b`;x\xe2\x80\xaey 7\n";
    let desk = Desk::with(&[("evil.txt", evil.to_vec())]);
    desk.analyze("evil.txt -o x.csv -o x.md -o x.json --title ===");
    for name in ["x.csv", "x.md"] {
        let text = desk.read(name);
        let harmless = |c: char| (!c.is_control() || c == '\n' || c == '\r') && c != '\u{202e}';
        assert!(text.chars().all(harmless), "{name}: {text}");
    }
    let csv = desk.read("x.csv");
    assert_eq!(csv.lines().count(), 6, "{csv}");
    assert!(csv.lines().all(|line| !line.starts_with(['=', '+', '-', '@'])), "{csv}");
    let markdown = desk.read("x.md");
    // The longest run of backticks in a name has three: a block between four cannot be left.
    let outside: String = markdown.split("````").step_by(2).collect();
    assert!(!outside.contains("<script"), "{markdown}");
    checked(&desk.read("x.json"));
    let again = printed(
        std::process::Command::new(env!("CARGO_BIN_EXE_analyze"))
            .args(["evil.txt", "-o", "-", "--format", "json"])
            .current_dir(desk.dir.path()),
    );
    assert!(again.contains("\"format\": \"flamearc.analysis\""));
}
