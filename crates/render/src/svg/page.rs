//! What stands around the bars: title, warnings, legend, footer, style.

use std::fmt::Write as _;

use ::svg::node::element::Element;
use ::svg::node::{Blob, Node};
use profile::Caption;
use unicode_width::UnicodeWidthChar;

use super::{element, text_element};
use crate::palette::{DARK, LIGHT, Paint, SHADES, Theme};
use crate::safe_text;

pub(super) const MONOSPACED: &str =
    "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";
const PROPORTIONAL: &str =
    "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

/// Free space at the left and right edge.
pub(super) const PAD_PX: u64 = 16;
/// Height of a bar, and from one bar to the next.
pub(super) const BAR_PX: u64 = 16;
pub(super) const ROW_PX: u64 = 17;
/// Where the script puts the search field and its buttons, beside title and subtitle.
const CONTROLS_PX: u64 = 372;
/// A caption's line is cut in the middle at this many characters.
const LONGEST_LINE: usize = 1000;

/// Width of the root's bar in a picture of `width_px`.
pub(super) fn plot_width_px(width_px: u32) -> u32 {
    width_px - 2 * PAD_PX as u32
}

/// What the colours mean.
pub(super) struct Legend {
    /// Colour, the shades to show, and words.
    pub entries: Vec<(Paint, Vec<u8>, String)>,
    /// A sentence below.
    pub note: Option<&'static str>,
}

/// A page that is filled from top to bottom.
pub(super) struct Page {
    width: u64,
    with_controls: bool,
    /// Lower edge of what is there.
    y: u64,
    content: Vec<Element>,
}

impl Page {
    pub(super) fn new(width_px: u32, with_controls: bool) -> Self {
        Self { width: u64::from(width_px), with_controls, y: 12, content: Vec::new() }
    }

    fn inner_px(&self) -> u64 {
        self.width - 2 * PAD_PX
    }

    /// One line of text; `y` moves to its lower edge.
    fn line(&mut self, class: &str, size_px: u64, height: u64, bold: bool, text: &str) {
        self.y += height;
        let mut line = text_element("text", &[("class", class)], text);
        line.assign("x", PAD_PX);
        line.assign("y", self.y - (height - size_px) / 2 - size_px / 5);
        line.assign("font-size", size_px);
        if bold {
            line.assign("font-weight", "600");
        }
        let color = if class == "muted" { LIGHT.muted } else { LIGHT.ink };
        line.assign("fill", color.to_string());
        self.content.push(line);
    }

    /// Title, subtitle, and warnings, those of incomplete input first.
    pub(super) fn heading(&mut self, caption: &Caption) {
        let controls = if self.with_controls { CONTROLS_PX } else { 0 };
        let room = self.inner_px() - controls;
        for line in wrap(&caption.title, room, 19, 2) {
            self.line("ink", 19, 26, true, &line);
        }
        for line in wrap(&caption.subtitle, room, 13, 4) {
            self.line("ink", 13, 20, false, &line);
        }
        if self.with_controls {
            self.y = self.y.max(62);
        }
        self.y += 6;
        let (incomplete, other): (Vec<_>, Vec<_>) =
            caption.warnings.iter().partition(|warning| warning.incomplete);
        for warning in incomplete.into_iter().chain(other) {
            self.warning(&warning.text, warning.incomplete);
        }
    }

    fn warning(&mut self, text: &str, incomplete: bool) {
        let lines = wrap(text, self.inner_px() - 36, 13, 4);
        if lines.is_empty() {
            return;
        }
        let height = lines.len() as u64 * 18 + 8;
        let (class, fill, ink) = if incomplete {
            ("alarm", LIGHT.alarm, LIGHT.alarm_ink)
        } else {
            ("warning", LIGHT.warning, LIGHT.warning_ink)
        };
        let mut group = element("g", &[("class", class)]);
        let mut back = element("rect", &[("rx", "4")]);
        back.assign("x", PAD_PX);
        back.assign("y", self.y);
        back.assign("width", self.inner_px());
        back.assign("height", height);
        back.assign("fill", fill.to_string());
        group.append(back);
        // A triangle with its mark cut out, drawn so that no font needs to have it.
        let (x, y) = (PAD_PX + 10, self.y + 6);
        let mut sign = element("path", &[("fill-rule", "evenodd")]);
        sign.assign("d", format!("M{} {y}l8 14h-16zm-1 4.5v5h2v-5zm0 6.2v2h2v-2z", x + 7));
        sign.assign("fill", ink.to_string());
        group.append(sign);
        for (i, line) in lines.iter().enumerate() {
            let mut line = text_element("text", &[("font-size", "13")], line);
            line.assign("x", PAD_PX + 30);
            line.assign("y", self.y + 18 + i as u64 * 18);
            line.assign("fill", ink.to_string());
            if incomplete {
                line.assign("font-weight", "600");
            }
            group.append(line);
        }
        self.content.push(group);
        self.y += height + 6;
    }

    /// Swatches with their words, in as many rows as they need.
    pub(super) fn legend(&mut self, legend: &Legend) {
        const SWATCH_PX: u64 = 13;
        self.y += 4;
        let mut group = element("g", &[("class", "legend"), ("font-size", "12")]);
        let mut x = PAD_PX;
        for (paint, shades, words) in &legend.entries {
            let swatches = shades.len() as u64 * SWATCH_PX;
            let width = swatches + 6 + width_px(words, 12);
            if x > PAD_PX && x + width > PAD_PX + self.inner_px() {
                x = PAD_PX;
                self.y += 20;
            }
            for (i, shade) in shades.iter().enumerate() {
                let class = format!("{}{shade}", paint.letter());
                let mut swatch = element("g", &[("class", &class)]);
                let mut rect = element("rect", &[]);
                rect.assign("x", x + i as u64 * SWATCH_PX);
                rect.assign("y", self.y);
                rect.assign("width", SWATCH_PX);
                rect.assign("height", SWATCH_PX);
                rect.assign("fill", paint.light(*shade).to_string());
                swatch.append(rect);
                group.append(swatch);
            }
            let mut text = text_element("text", &[("class", "ink")], words);
            text.assign("x", x + swatches + 6);
            text.assign("y", self.y + 11);
            text.assign("fill", LIGHT.ink.to_string());
            group.append(text);
            x += width + 20;
        }
        self.content.push(group);
        self.y += 20;
        if let Some(note) = legend.note {
            for line in wrap(note, self.inner_px(), 12, 3) {
                self.line("muted", 12, 18, false, &line);
            }
        }
        self.y += 8;
    }

    /// Leaves room for bars; answers their upper edge.
    pub(super) fn place_bars(&mut self, rows: u32) -> u64 {
        let top = self.y;
        self.y += u64::from(rows) * ROW_PX + 10;
        top
    }

    /// A heading with lines below it, if there are any.
    pub(super) fn list(&mut self, heading: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.line("ink", 12, 20, true, heading);
        for text in lines {
            for line in wrap(text, self.inner_px(), 12, 2) {
                self.line("ink", 12, 18, false, &line);
            }
        }
        self.y += 8;
    }

    /// Provenance, line by line.
    pub(super) fn footer(&mut self, caption: &Caption) {
        for text in &caption.footer {
            for line in wrap(text, self.inner_px(), 11, 4) {
                self.line("muted", 11, 16, false, &line);
            }
        }
        self.y += 12;
    }

    /// The finished page as the document's element; bars and script are still to be appended.
    pub(super) fn root(self, caption: &Caption) -> Element {
        let (width, height) = (self.width.to_string(), self.y.to_string());
        let view_box = format!("0 0 {width} {height}");
        let ink = LIGHT.ink.to_string();
        let mut root = element(
            "svg",
            &[
                ("xmlns", "http://www.w3.org/2000/svg"),
                ("class", "flamearc"),
                ("width", &width),
                ("height", &height),
                ("viewBox", &view_box),
                ("font-family", PROPORTIONAL),
                ("font-size", "12"),
                ("fill", &ink),
            ],
        );
        root.append(text_element(
            "title",
            &[],
            &safe_text::clean_up_to(&caption.title, LONGEST_LINE),
        ));
        let mut style = element("style", &[]);
        style.append(Blob::new(style_sheet()));
        root.append(style);
        let mut page = element("rect", &[("class", "page"), ("width", "100%"), ("height", "100%")]);
        page.assign("fill", LIGHT.page.to_string());
        root.append(page);
        for part in self.content {
            root.append(part);
        }
        root
    }
}

/// Rules for what attributes cannot say: the dark theme, and states that the script sets. Every
/// picture's colours also stand in attributes, for viewers that drop style sheets.
fn style_sheet() -> String {
    let mut css = String::new();
    css.push_str(
        ".flamearc .bars rect{rx:1px}\
         .flamearc .bars .m0 text{font-style:italic}\
         .flamearc .bars text,.flamearc .tip{pointer-events:none}\
         .flamearc .live{cursor:pointer}\
         .flamearc .live g:focus{outline:none}\
         .flamearc .live g:hover rect,.flamearc .live g:focus rect,.flamearc .button:hover>rect,\
         .flamearc .button:focus>rect{stroke-width:1.5}\
         .flamearc .button,.flamearc .field{outline:none}\
         .flamearc .button{cursor:pointer}\
         .flamearc .field{cursor:text}\
         .flamearc .field:focus>rect{stroke-width:2}\
         .flamearc .clear{cursor:pointer}\
         .flamearc .clear rect{fill:none;pointer-events:all}\
         .flamearc .clear path{fill:none;stroke-width:1.5}\
         .flamearc .above{opacity:.55}\
         .flamearc .searching g:not(.found){opacity:.5}\
         .flamearc .searching .found rect{stroke-width:1.5}",
    );
    css.push_str(&theme_rules(&LIGHT));
    css.push_str("@media (prefers-color-scheme:dark){.flamearc{color-scheme:dark}");
    css.push_str(&theme_rules(&DARK));
    for paint in Paint::ALL {
        for shade in 0..SHADES {
            if shade == 0 || paint.dark(shade) != paint.dark(0) {
                let letter = paint.letter();
                let color = paint.dark(shade);
                write!(css, ".flamearc .{letter}{shade} rect{{fill:{color}}}").expect("a string");
            }
        }
    }
    css.push('}');
    css
}

fn theme_rules(theme: &Theme) -> String {
    let Theme { page, ink, muted, line, warning, warning_ink, alarm, alarm_ink, found } = theme;
    format!(
        ".flamearc{{background:{page}}}\
         .flamearc .page,.flamearc .control>rect{{fill:{page}}}\
         .flamearc text{{fill:{ink}}}\
         .flamearc .muted{{fill:{muted}}}\
         .flamearc .control>rect{{stroke:{line}}}\
         .flamearc .warning rect{{fill:{warning}}}\
         .flamearc .warning text,.flamearc .warning path{{fill:{warning_ink}}}\
         .flamearc .alarm rect{{fill:{alarm}}}\
         .flamearc .alarm text,.flamearc .alarm path{{fill:{alarm_ink}}}\
         .flamearc .live g:hover rect,.flamearc .live g:focus rect,.flamearc .button:hover>rect,\
         .flamearc .button:focus>rect,.flamearc .field:focus>rect{{stroke:{ink}}}\
         .flamearc .caret{{fill:{ink}}}\
         .flamearc .clear path{{stroke:{muted}}}\
         .flamearc .tip rect{{fill:{page};stroke:{line}}}\
         .flamearc .searching .found rect{{stroke:{found}}}\
         .flamearc .matched{{fill:{found}}}"
    )
}

/// Width of proportional text as wide fonts (DejaVu Sans, Verdana) set it, rounded up: nobody
/// knows which font a reader has, and text that ends early is better than text that is cut off.
fn width_px(text: &str, size_px: u64) -> u64 {
    let thousandths: u64 = text.chars().map(thousandths_of_em).sum();
    (thousandths * size_px).div_ceil(1000)
}

fn thousandths_of_em(c: char) -> u64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '\'' | ' ' | '.' | ',' | ':' | ';' | '|' | '!' | '`' => 350,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' | '·' => 420,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '—' | '…' => 1000,
        'A'..='Z' => 780,
        c => match c.width().unwrap_or(0) {
            0 => 0,
            1 => 640,
            _ => 1100,
        },
    }
}

/// Breaks a caption's line at spaces, long words anywhere, into at most `most_lines` lines; the last
/// ends with `…` when there was more.
fn wrap(text: &str, room_px: u64, size_px: u64, most_lines: usize) -> Vec<String> {
    let text = safe_text::clean_up_to(text, LONGEST_LINE);
    let room = room_px * 1000 / size_px;
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let mut last_space: Option<usize> = None;
    for c in text.trim().chars() {
        let width = thousandths_of_em(c);
        if used + width > room && !line.is_empty() {
            let rest = match last_space.filter(|at| *at > 0 && c != ' ') {
                Some(at) => {
                    let rest = line[at + 1..].to_owned();
                    line.truncate(at);
                    rest
                }
                None => String::new(),
            };
            lines.push(std::mem::replace(&mut line, rest));
            used = line.chars().map(thousandths_of_em).sum();
            last_space = None;
        }
        if c == ' ' {
            if line.is_empty() {
                continue;
            }
            last_space = Some(line.len());
        }
        line.push(c);
        used += width;
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most_lines {
        lines.truncate(most_lines);
        if let Some(last) = lines.last_mut() {
            last.pop();
            last.pop();
            last.push('…');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("aaa bbb ccc", 60, 10, 9), ["aaa bbb", "ccc"]);
        assert_eq!(wrap("aaaaaaaaaaaa b", 30, 10, 9), ["aaaa", "aaaa", "aaaa", "b"]);
        assert_eq!(wrap("aaa bbb ccc ddd", 25, 10, 2), ["aaa", "b…"]);
        assert_eq!(wrap("  ", 25, 10, 2), Vec::<String>::new());
    }

    #[test]
    fn no_wrapped_line_is_wider_than_its_room() {
        let text = "INCOMPLETE: the recording ends in the middle of a block (WWWWWWWWWWWWWWWWWWWW \
                    mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm), 函数函数函数函数函数函数函数函数函数";
        for room in [100, 250, 640, 1168] {
            for line in wrap(text, room, 13, 99) {
                assert!(width_px(&line, 13) <= room + 1, "{room}: {line}");
            }
        }
    }
}
