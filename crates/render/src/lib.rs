//! Pictures and tables of [`profile::CallTree`] and [`profile::DiffTree`].
//!
//! Knows neither archives nor symbolizers: what to draw comes as a tree, what to say around it as a
//! [`profile::Caption`]. Names are the profiled process's own words and therefore hostile; every
//! output takes them through [`safe_text`] first and escapes them for its place last.
//!
//! Every output is a function of its input alone: no clock, no random colour, no machine's locale.
//!
//! ```
//! use profile::{CallTree, Caption, Frame, FrameKind};
//! let mut tree = CallTree::new();
//! let main = tree.frames.intern(Frame::new("main", "server", FrameKind::User));
//! tree.add(&[main], 3);
//! let caption = Caption { title: "server".into(), unit: "samples", ..Caption::default() };
//! let picture = render::svg::flamegraph(&tree, &caption, &render::SvgOptions::default());
//! assert!(picture.starts_with("<svg"));
//! ```

mod amount;
mod coloring;
pub mod folded;
pub mod html;
mod layout;
mod palette;
pub mod safe_text;
mod shorten;
pub mod svg;
pub mod terminal;

pub use amount::thousands;
pub use coloring::Coloring;
pub use svg::{Direction, SvgOptions};
