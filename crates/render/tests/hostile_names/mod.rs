//! Names that attack whoever shows them.

/// 200 names that attack some reader: XML, HTML, script, terminal, bidi, sheer size.
pub fn hostile_names() -> Vec<String> {
    let seeds = [
        "</title><script>alert(1)</script>",
        "<script>alert(1)</script>",
        "]]><script>alert(1)</script><![CDATA[",
        "<![CDATA[x",
        "--><b>",
        "<!-- x",
        "<?xml version=\"1.0\"?>",
        "<!DOCTYPE svg [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>&x;",
        "&lt;&#x3c;&#60;&bogus;&",
        "\" onload=\"alert(1)",
        "' onmouseover='alert(1)",
        "javascript:alert(1)",
        "<foreignObject><iframe src=\"javascript:alert(1)\"/></foreignObject>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<image href=\"http://198.51.100.1/x\"/>",
        "url(http://198.51.100.1/x)",
        "}</style><svg onload=alert(1)>",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{9b}31m",
        "a\0b",
        "\u{202e}gnp.exe",
        "\u{2066}x\u{2069}",
        "\u{fffe}\u{ffff}",
        "\r\n\t\u{2028}\u{2029}\u{85}",
        "\u{feff}\u{200b}\u{200d}",
        "%s%n\\u003cscript\\u003e",
        "=cmd|' /C calc'!A0",
        "operator<<(operator<, >)",
        "...<<<(((",
        "",
    ];
    let mut names: Vec<String> = seeds.map(String::from).to_vec();
    for (i, seed) in seeds.iter().enumerate() {
        names.push(format!("ns::f<{seed}>::g({seed})"));
        names.push(format!("{seed}{}", "x".repeat(i * 97)));
        names.push(seed.chars().rev().collect());
        names.push(seed.to_uppercase());
        names.push(format!("\u{1f525}{seed}\u{301}"));
    }
    for c in 0..20u8 {
        names.push(format!("control{}in", char::from(c)));
    }
    assert_eq!(names.len(), 200);
    names
}
