//! Reads pictures as a strict XML parser does.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Element names and attribute names, in order; and whether text passed that should not.
pub fn shape(picture: &str) -> Vec<String> {
    let mut reader = Reader::from_str(picture);
    let config = reader.config_mut();
    config.check_end_names = true;
    config.check_comments = true;
    let mut shape = Vec::new();
    let mut open = 0i32;
    loop {
        match reader.read_event().expect("well-formed XML") {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                open += i32::from(matches!(event, Event::Start(_)));
                let (Event::Start(tag) | Event::Empty(tag)) = event else { unreachable!() };
                let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
                let mut words = vec![name];
                for attribute in tag.attributes() {
                    let attribute = attribute.expect("no attribute twice, all quoted");
                    words.push(String::from_utf8(attribute.key.as_ref().to_vec()).unwrap());
                }
                shape.push(words.join(" "));
            }
            Event::End(_) => open -= 1,
            Event::GeneralRef(entity) => {
                let name = String::from_utf8(entity.to_vec()).unwrap();
                assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name.as_str()), "&{name};");
            }
            Event::Text(_) | Event::CData(_) => {}
            Event::Eof => break,
            other => panic!("nothing but elements and text belongs here: {other:?}"),
        }
    }
    assert_eq!(open, 0);
    for c in picture.chars() {
        let control = c.is_control() && c != '\n';
        let bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}');
        let nonchar = (c as u32) & 0xfffe == 0xfffe;
        assert!(!control && !bidi && !nonchar, "U+{:04X}", c as u32);
    }
    shape
}
