//! Colours by what a frame is, and by how it changed.
//!
//! Hues follow Paul Tol's light scheme, which stays apart for the colour-blind; fills are light
//! under dark text, and in a dark theme dark under light text. Contrast of every text on its fill
//! is at least 4.5:1 (a test computes it). The shade within a kind follows the function's name, so
//! a function looks the same in every picture.

use profile::{Frame, FrameKind, Grade};

/// Shades of one kind of frame, or degrees of one direction of change.
pub(crate) const SHADES: u8 = 5;

/// An sRGB colour, 0xRRGGBB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Color(pub u32);

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

/// What is not a frame.
pub(crate) struct Theme {
    pub page: Color,
    /// Text on the page and on bars.
    pub ink: Color,
    /// Text of less weight on the page.
    pub muted: Color,
    /// Thin lines around fields.
    pub line: Color,
    /// Behind warnings, and text on it.
    pub warning: Color,
    pub warning_ink: Color,
    /// Behind the warning that input is incomplete, and text on it.
    pub alarm: Color,
    pub alarm_ink: Color,
    /// Frames found by a search.
    pub found: Color,
}

pub(crate) const LIGHT: Theme = Theme {
    page: Color(0xffffff),
    ink: Color(0x1c2128),
    muted: Color(0x57606a),
    line: Color(0x8c959f),
    warning: Color(0xfff3cd),
    warning_ink: Color(0x5c4400),
    alarm: Color(0xb3261e),
    alarm_ink: Color(0xffffff),
    found: Color(0xa3007f),
};

pub(crate) const DARK: Theme = Theme {
    page: Color(0x14181d),
    ink: Color(0xf0f3f6),
    muted: Color(0x9aa4b0),
    line: Color(0x6b7683),
    warning: Color(0x3d3010),
    warning_ink: Color(0xf5dd9a),
    alarm: Color(0xb3261e),
    alarm_ink: Color(0xffffff),
    found: Color(0xff8adf),
};

/// What a bar's colour says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Paint {
    Process,
    User,
    Library,
    Jit,
    Kernel,
    Inlined,
    NoName,
    Marker,
    Merged,
    Grew,
    Shrank,
    Noise,
}

impl Paint {
    pub(crate) const ALL: [Self; 12] = [
        Self::Process,
        Self::User,
        Self::Inlined,
        Self::Library,
        Self::Jit,
        Self::Kernel,
        Self::NoName,
        Self::Marker,
        Self::Merged,
        Self::Grew,
        Self::Shrank,
        Self::Noise,
    ];

    pub(crate) fn of_frame(frame: &Frame) -> Self {
        match frame.kind {
            FrameKind::Process => Self::Process,
            FrameKind::Kernel => Self::Kernel,
            FrameKind::NoName(_) => Self::NoName,
            FrameKind::Marker => Self::Marker,
            FrameKind::User | FrameKind::Library | FrameKind::Jit if frame.inlined => Self::Inlined,
            FrameKind::User => Self::User,
            FrameKind::Library => Self::Library,
            FrameKind::Jit => Self::Jit,
        }
    }

    pub(crate) fn of_grade(grade: Grade) -> Self {
        match grade {
            Grade::Grew => Self::Grew,
            Grade::Shrank => Self::Shrank,
            Grade::Noise => Self::Noise,
        }
    }

    /// For the legend and tooltips.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::User => "program",
            Self::Library => "library",
            Self::Jit => "compiled at run time",
            Self::Kernel => "kernel",
            Self::Inlined => "inlined",
            Self::NoName => "no name",
            Self::Marker => "not code",
            Self::Merged => "too small to draw",
            Self::Grew => "grew",
            Self::Shrank => "shrank",
            Self::Noise => "within counting error",
        }
    }

    /// Letter of its style class; the shade's digit follows.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Process => 'p',
            Self::User => 'u',
            Self::Library => 'l',
            Self::Jit => 'j',
            Self::Kernel => 'k',
            Self::Inlined => 'i',
            Self::NoName => 'n',
            Self::Marker => 'x',
            Self::Merged => 'm',
            Self::Grew => 'g',
            Self::Shrank => 's',
            Self::Noise => 'o',
        }
    }

    /// First and last shade, on a light and on a dark page.
    fn ends(self) -> ([u32; 2], [u32; 2]) {
        match self {
            Self::Process => ([0xcbd4df, 0xbac6d4], [0x414e5d, 0x4c5b6c]),
            Self::User => ([0xf9c97e, 0xf2a56b], [0x8a4410, 0xa0421c]),
            Self::Library => ([0xa0dcc0, 0x7dcbb4], [0x125c60, 0x1b6a6c]),
            Self::Jit => ([0xd9e285, 0xc4d160], [0x3a6412, 0x467219]),
            Self::Kernel => ([0xa9ccef, 0x86b5e4], [0x234f86, 0x2d5f9e]),
            Self::Inlined => ([0xf8e8b0, 0xf0d98c], [0x695a08, 0x796812]),
            Self::NoName => ([0xf9bfca, 0xf1a6b6], [0x773246, 0x8a3a4e]),
            Self::Marker => ([0xdccbee, 0xcdb6e6], [0x523c74, 0x614887]),
            Self::Merged => ([0xe9ecf0, 0xe9ecf0], [0x2a3038, 0x2a3038]),
            Self::Grew => ([0xfbe0d8, 0xea7558], [0x4a2a24, 0xb0432b]),
            Self::Shrank => ([0xdce9f7, 0x66a3da], [0x22344a, 0x2c69a8]),
            Self::Noise => ([0xdadfe5, 0xdadfe5], [0x3a434e, 0x3a434e]),
        }
    }

    pub(crate) fn light(self, shade: u8) -> Color {
        let [first, last] = self.ends().0;
        between(first, last, shade)
    }

    pub(crate) fn dark(self, shade: u8) -> Color {
        let [first, last] = self.ends().1;
        between(first, last, shade)
    }
}

fn between(first: u32, last: u32, shade: u8) -> Color {
    let steps = u32::from(SHADES - 1);
    let shade = u32::from(shade.min(SHADES - 1));
    let mix = |shift: u32| {
        let (a, b) = ((first >> shift) & 0xff, (last >> shift) & 0xff);
        ((a * (steps - shade) + b * shade + steps / 2) / steps) << shift
    };
    Color(mix(16) | mix(8) | mix(0))
}

/// The shade of a function: FNV-1a of its name, which no library's version changes.
pub(crate) fn shade_of_name(name: &str) -> u8 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) % u64::from(SHADES)) as u8
}

/// The degree of a change by how much of the larger side it is: tenth, quarter, half, nearly all.
/// Of the box, not of the whole: a caller of something that doubled stays pale, so the eye follows
/// the colour down to the cause.
pub(crate) fn degree_of_change(before: f64, after: f64) -> u8 {
    let larger = before.max(after);
    let part = if larger > 0.0 { (after - before).abs() / larger } else { 0.0 };
    [0.1, 0.25, 0.5, 0.9].iter().filter(|limit| part >= **limit).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2 relative luminance.
    fn luminance(color: Color) -> f64 {
        let channel = |shift: u32| {
            let c = f64::from((color.0 >> shift) & 0xff) / 255.0;
            if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
    }

    fn contrast(a: Color, b: Color) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_has_contrast_on_its_fill() {
        for paint in Paint::ALL {
            for shade in 0..SHADES {
                let light = contrast(LIGHT.ink, paint.light(shade));
                let dark = contrast(DARK.ink, paint.dark(shade));
                assert!(light >= 4.5, "{paint:?} {shade} light: {light:.2}");
                assert!(dark >= 4.5, "{paint:?} {shade} dark: {dark:.2}");
            }
        }
        for theme in [LIGHT, DARK] {
            for (text, fill) in [
                (theme.ink, theme.page),
                (theme.muted, theme.page),
                (theme.found, theme.page),
                (theme.warning_ink, theme.warning),
                (theme.alarm_ink, theme.alarm),
            ] {
                assert!(contrast(text, fill) >= 4.5, "{text} on {fill}");
            }
            assert!(contrast(theme.line, theme.page) >= 3.0, "lines of controls");
        }
    }

    #[test]
    fn kinds_have_classes_of_their_own() {
        let mut letters: Vec<char> = Paint::ALL.iter().map(|p| p.letter()).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Paint::ALL.len());
    }

    #[test]
    fn shades_run_from_one_end_to_the_other() {
        assert_eq!(between(0x000000, 0x0408ff, 0), Color(0));
        assert_eq!(between(0x000000, 0x0408ff, 2), Color(0x020480));
        assert_eq!(between(0x000000, 0x0408ff, 4), Color(0x0408ff));
        assert_eq!(Color(0x0a).to_string(), "#00000a");
        assert_eq!(shade_of_name("main"), shade_of_name("main"));
    }

    #[test]
    fn degrees_follow_the_share_of_the_box_that_changed() {
        let cases = [(1.0, 1.05, 0), (1.0, 1.2, 1), (1.0, 1.5, 2), (1.0, 4.0, 3), (0.0, 0.1, 4)];
        for (before, after, degree) in cases {
            assert_eq!(degree_of_change(before, after), degree, "{before} -> {after}");
            assert_eq!(degree_of_change(after, before), degree);
        }
        assert_eq!(degree_of_change(0.0, 0.0), 0);
    }
}
