//! Attribute values: how many bytes one takes, and what it says.

use gimli::{DwForm, Encoding};

use super::Damaged;
use super::cursor::Cursor;

/// How long a value of some form is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    Fixed(u8),
    /// A number of variable length.
    Leb,
    /// As many bytes as the number before them says, which has that many bytes itself.
    Counted(u8),
    LebCounted,
    Text,
    /// The form stands with the value.
    Indirect,
}

/// A value as it stands in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub form: DwForm,
    /// The number; of a text in place, its position in the unit.
    pub number: u64,
}

/// DWARF 5, section 7.5.5, and GNU's extensions. `None` for a form of the future: what follows it
/// cannot be read.
pub(super) fn length(form: DwForm, encoding: Encoding) -> Option<Length> {
    let offset_bytes = encoding.format.word_size();
    Some(match form {
        gimli::DW_FORM_flag_present | gimli::DW_FORM_implicit_const => Length::Fixed(0),
        gimli::DW_FORM_data1
        | gimli::DW_FORM_ref1
        | gimli::DW_FORM_flag
        | gimli::DW_FORM_strx1
        | gimli::DW_FORM_addrx1 => Length::Fixed(1),
        gimli::DW_FORM_data2
        | gimli::DW_FORM_ref2
        | gimli::DW_FORM_strx2
        | gimli::DW_FORM_addrx2 => Length::Fixed(2),
        gimli::DW_FORM_strx3 | gimli::DW_FORM_addrx3 => Length::Fixed(3),
        gimli::DW_FORM_data4
        | gimli::DW_FORM_ref4
        | gimli::DW_FORM_strx4
        | gimli::DW_FORM_addrx4
        | gimli::DW_FORM_ref_sup4 => Length::Fixed(4),
        gimli::DW_FORM_data8
        | gimli::DW_FORM_ref8
        | gimli::DW_FORM_ref_sig8
        | gimli::DW_FORM_ref_sup8 => Length::Fixed(8),
        gimli::DW_FORM_data16 => Length::Fixed(16),
        gimli::DW_FORM_addr => Length::Fixed(encoding.address_size),
        gimli::DW_FORM_sec_offset
        | gimli::DW_FORM_strp
        | gimli::DW_FORM_line_strp
        | gimli::DW_FORM_strp_sup
        | gimli::DW_FORM_GNU_ref_alt
        | gimli::DW_FORM_GNU_strp_alt => Length::Fixed(offset_bytes),
        gimli::DW_FORM_ref_addr if encoding.version <= 2 => Length::Fixed(encoding.address_size),
        gimli::DW_FORM_ref_addr => Length::Fixed(offset_bytes),
        gimli::DW_FORM_sdata
        | gimli::DW_FORM_udata
        | gimli::DW_FORM_ref_udata
        | gimli::DW_FORM_strx
        | gimli::DW_FORM_addrx
        | gimli::DW_FORM_loclistx
        | gimli::DW_FORM_rnglistx
        | gimli::DW_FORM_GNU_addr_index
        | gimli::DW_FORM_GNU_str_index => Length::Leb,
        gimli::DW_FORM_block1 => Length::Counted(1),
        gimli::DW_FORM_block2 => Length::Counted(2),
        gimli::DW_FORM_block4 => Length::Counted(4),
        gimli::DW_FORM_block | gimli::DW_FORM_exprloc => Length::LebCounted,
        gimli::DW_FORM_string => Length::Text,
        gimli::DW_FORM_indirect => Length::Indirect,
        _ => return None,
    })
}

/// Passes over a value.
#[inline]
pub(super) fn skip(
    cursor: &mut Cursor<'_>,
    length: Length,
    encoding: Encoding,
) -> Result<(), Damaged> {
    match length {
        Length::Fixed(bytes) => cursor.skip(bytes.into()),
        Length::Leb => cursor.uleb().map(drop),
        Length::Counted(bytes) => {
            let count = cursor.unsigned(bytes)?;
            cursor.skip(count)
        }
        Length::LebCounted => {
            let count = cursor.uleb()?;
            cursor.skip(count)
        }
        Length::Text => cursor.skip_text(),
        Length::Indirect => {
            let (_, length) = indirect(cursor, encoding)?;
            skip(cursor, length, encoding)
        }
    }
}

/// Reads a value; `implicit` is the one that its abbreviation states.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    form: DwForm,
    implicit: i64,
    encoding: Encoding,
) -> Result<Value, Damaged> {
    let length = length(form, encoding).ok_or(Damaged)?;
    let number = match length {
        Length::Fixed(0) if form == gimli::DW_FORM_implicit_const => implicit.cast_unsigned(),
        Length::Fixed(0) => 1,
        Length::Fixed(bytes @ 1..=8) => cursor.unsigned(bytes)?,
        Length::Leb if form == gimli::DW_FORM_sdata => cursor.sleb()?.cast_unsigned(),
        Length::Leb => cursor.uleb()?,
        Length::Indirect => {
            let (form, _) = indirect(cursor, encoding)?;
            return read(cursor, form, 0, encoding);
        }
        _ => {
            let position = cursor.position() as u64;
            skip(cursor, length, encoding)?;
            position
        }
    };
    Ok(Value { form, number })
}

/// The form that stands with its value: not yet another such form, which could nest for ever.
fn indirect(cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<(DwForm, Length), Damaged> {
    let form = DwForm(u16::try_from(cursor.uleb()?).map_err(|_| Damaged)?);
    match length(form, encoding).ok_or(Damaged)? {
        Length::Indirect => Err(Damaged),
        length => Ok((form, length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODING: Encoding =
        Encoding { address_size: 8, format: gimli::Format::Dwarf32, version: 5 };

    #[test]
    fn an_indirect_form_is_followed_once() {
        let bytes = [0x0b, 7, 0x16, 0x16, 0x16];
        let mut cursor = Cursor::new(&bytes, 0);
        let value = read(&mut cursor, gimli::DW_FORM_indirect, 0, ENCODING);
        assert_eq!(value, Ok(Value { form: gimli::DW_FORM_data1, number: 7 }));
        assert_eq!(read(&mut cursor, gimli::DW_FORM_indirect, 0, ENCODING), Err(Damaged));
    }

    #[test]
    fn values_are_as_long_as_their_forms_say() {
        let bytes = [2, 3, 4, 0, 0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18];
        for (form, expected) in [
            (gimli::DW_FORM_flag_present, 0),
            (gimli::DW_FORM_strx3, 3),
            (gimli::DW_FORM_line_strp, 4),
            (gimli::DW_FORM_addr, 8),
            (gimli::DW_FORM_data16, 16),
            (gimli::DW_FORM_udata, 1),
            (gimli::DW_FORM_exprloc, 3),
            (gimli::DW_FORM_block1, 3),
            (gimli::DW_FORM_string, 4),
        ] {
            let mut cursor = Cursor::new(&bytes, 0);
            skip(&mut cursor, length(form, ENCODING).unwrap(), ENCODING).unwrap();
            assert_eq!(cursor.position(), expected, "{form}");
        }
        assert_eq!(length(DwForm(0x1f7f), ENCODING), None);
        let wide = Encoding { format: gimli::Format::Dwarf64, ..ENCODING };
        assert_eq!(length(gimli::DW_FORM_strp, wide), Some(Length::Fixed(8)));
    }
}
