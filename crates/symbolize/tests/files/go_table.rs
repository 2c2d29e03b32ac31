//! Go tables by construction, in each layout: five functions, two of them with inlined calls.

use crate::elf_builder::{ALLOC, CODE, ElfBuilder, uleb};

pub const TEXT_SECTION: u64 = 0x40_2000;
/// Go's code begins behind C's.
pub const GO_TEXT: u64 = 0x40_2100;
pub const TABLE: u64 = 0x50_0000;
/// FUNCDATA of releases that do not keep it in the pclntab.
pub const FUNCDATA: u64 = 0x58_0000;
pub const MODULE: u64 = 0x60_0000;

/// (value, bytes of code it holds for)
pub type Runs = &'static [(i64, u32)];

pub struct Function {
    pub name: &'static str,
    pub start: u32,
    /// `funcID` and flags.
    pub kind: [u8; 2],
    pub start_line: u32,
    pub depths: Runs,
    pub files: Runs,
    pub lines: Runs,
    /// Which inlined call; none of the function has any where this is empty.
    pub inlined: Runs,
    pub calls: &'static [Call],
}

/// An inlined call.
pub struct Call {
    pub name: &'static str,
    pub id: u8,
    pub start_line: u32,
    pub call_within: u32,
}

pub const WRAPPER: u8 = 23;
pub const FILES: [&str; 2] = ["/go/src/asm.s", "/src/main.go"];
pub const NO_CALLS: Runs = &[];

pub const FUNCTIONS: [Function; 5] = [
    Function {
        name: "runtime.rt0_go",
        start: 0,
        kind: [1, 1],
        start_line: 10,
        depths: &[(0, 0x20)],
        files: &[(0, 0x20)],
        lines: &[(11, 0x20)],
        inlined: NO_CALLS,
        calls: &[],
    },
    Function {
        name: "main.leaf",
        start: 0x20,
        kind: [0, 0],
        start_line: 5,
        depths: &[(0, 0x15)],
        files: &[(1, 0x15)],
        lines: &[(6, 4), (7, 0x11)],
        inlined: NO_CALLS,
        calls: &[],
    },
    Function {
        name: "main.(*T).Work",
        start: 0x40,
        kind: [0, 0],
        start_line: 30,
        // Nothing on the stack for four bytes of code, then the frame.
        depths: &[(0, 4), (24, 0x3c)],
        files: &[(1, 0x40)],
        lines: &[(31, 8), (32, 8), (21, 4), (12, 4), (22, 8), (33, 0x20)],
        inlined: &[(-1, 0x10), (0, 4), (1, 4), (0, 8), (-1, 0x20)],
        calls: &[
            Call { name: "main.Map[go.shape.int]", id: 0, start_line: 20, call_within: 8 },
            Call { name: "a%2eb/c.Min", id: 0, start_line: 11, call_within: 0x10 },
        ],
    },
    Function {
        name: "runtime.deferreturn",
        start: 0x80,
        kind: [WRAPPER, 0],
        start_line: 50,
        depths: &[(0, 0x10)],
        files: &[(0, 0x10)],
        lines: &[(51, 0x10)],
        inlined: NO_CALLS,
        calls: &[],
    },
    Function {
        name: "main.(*T).Do",
        start: 0x90,
        kind: [WRAPPER, 0],
        start_line: 1,
        depths: &[(0, 0x10)],
        files: &[(1, 0x10)],
        lines: &[(1, 8), (41, 8)],
        inlined: &[(-1, 8), (0, 8)],
        calls: &[Call { name: "main.T.Do", id: 0, start_line: 40, call_within: 4 }],
    },
];
pub const GO_END: u64 = GO_TEXT + 0xa0;

impl Function {
    pub fn end(&self) -> u32 {
        self.start + self.depths.iter().map(|(_, bytes)| bytes).sum::<u32>()
    }
}

#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub enum Layout {
    Go116,
    Go118,
    Go120,
    /// As 1.20, but FUNCDATA stands in the pclntab and the header does not state the text base.
    Go126,
    /// As 1.26, but the moduledata has more words in front of FUNCDATA's.
    Go127,
}
pub use Layout::{Go116, Go118, Go120, Go126, Go127};
pub const LAYOUTS: [Layout; 5] = [Go116, Go118, Go120, Go126, Go127];

/// What to write otherwise than Go's linker does.
#[derive(Clone, Copy, Default)]
pub struct Twist {
    /// The header does not say where the text begins (as since Go 1.26).
    pub text_unstated: bool,
    pub encrypt_entries: bool,
    pub descending: bool,
    /// Each inlined call says that it was made by itself.
    pub endless_calls: bool,
}

pub struct Table {
    pub layout: Layout,
    pub bytes: Vec<u8>,
    pub names_at: u64,
    pub functions_at: u64,
    pub funcdata_at: u64,
    pub funcdata: Vec<u8>,
}

pub fn zigzag(value: i64) -> Vec<u8> {
    uleb(((value << 1) ^ (value >> 63)) as u64)
}

/// Appends a table of values; 0 where there is none.
pub fn append_runs(values: &mut Vec<u8>, runs: Runs) -> u32 {
    if runs.is_empty() {
        return 0;
    }
    let at = values.len() as u32;
    let mut last = -1;
    for (value, bytes) in runs {
        values.extend([zigzag(value - last), uleb(u64::from(*bytes))].concat());
        last = *value;
    }
    values.push(0);
    at
}

pub fn append_text(texts: &mut Vec<u8>, text: &str) -> u32 {
    let at = texts.len() as u32;
    texts.extend(text.bytes());
    texts.push(0);
    at
}

/// The inlined calls of one function.
pub fn tree(layout: Layout, calls: &[Call], names: &mut Vec<u8>, twist: Twist) -> Vec<u8> {
    let rows = calls.iter().flat_map(|call| {
        let name = append_text(names, call.name);
        let within = if twist.endless_calls { 0x14 } else { call.call_within };
        let (id, line) = (u32::from(call.id), call.start_line);
        if layout >= Go120 {
            vec![id, name, within, line]
        } else {
            vec![id << 16, 0, 0, name, within]
        }
    });
    rows.flat_map(u32::to_le_bytes).collect()
}

pub fn table(layout: Layout, twist: Twist) -> Table {
    let absolute = layout == Go116;
    let (mut names, mut values, mut funcdata) = (Vec::new(), vec![0u8], Vec::new());
    let row_bytes = if absolute { 16 } else { 8 };
    let mut rows: Vec<u8> = Vec::new();
    let mut records: Vec<u8> = Vec::new();
    let records_at = (row_bytes * FUNCTIONS.len() + row_bytes / 2).next_multiple_of(8);
    let word = |value: u64| {
        if absolute { value.to_le_bytes().to_vec() } else { (value as u32).to_le_bytes().to_vec() }
    };
    let entry = |offset: u32| u64::from(offset) + if absolute { GO_TEXT } else { 0 };
    for f in &FUNCTIONS {
        let start = if twist.descending { 0x100 - f.start } else { f.start };
        rows.extend(word(entry(start)));
        rows.extend(word((records_at + records.len()) as u64));
        let encrypted = if twist.encrypt_entries { 0x5a5a } else { 0 };
        records.extend(word(entry(f.start) ^ encrypted));
        let name = append_text(&mut names, f.name);
        let [depths, files, lines] =
            [f.depths, f.files, f.lines].map(|runs| append_runs(&mut values, runs));
        // name, args, deferreturn, pcsp, pcfile, pcln, npcdata, cuOffset
        for field in [name, 0, 0, depths, files, lines, 3, 0] {
            records.extend(field.to_le_bytes());
        }
        if layout >= Go120 {
            records.extend(f.start_line.to_le_bytes());
        }
        records.extend([f.kind[0], f.kind[1], 0, 4]);
        let inlined = append_runs(&mut values, f.inlined);
        records.extend([0, 0, inlined].map(u32::to_le_bytes).concat());
        let tree_at = funcdata.len() as u64;
        funcdata.extend(tree(layout, f.calls, &mut names, twist));
        if absolute {
            records.resize(records.len().next_multiple_of(8), 0);
            let tree = if f.calls.is_empty() { 0 } else { FUNCDATA + tree_at };
            records.extend([0, 0, 0, tree].map(u64::to_le_bytes).concat());
        } else {
            let tree = if f.calls.is_empty() { u32::MAX } else { tree_at as u32 };
            records.extend([u32::MAX, u32::MAX, u32::MAX, tree].map(u32::to_le_bytes).concat());
        }
        records.resize(records.len().next_multiple_of(8), 0);
    }
    rows.extend(word(entry(FUNCTIONS[4].end())));
    rows.resize(records_at, 0);
    let magic: u32 = match layout {
        Go116 => 0xffff_fffa,
        Go118 => 0xffff_fff0,
        Go120 | Go126 | Go127 => 0xffff_fff1,
    };
    let mut files = Vec::new();
    let units = FILES.map(|file| append_text(&mut files, file).to_le_bytes()).concat();
    let mut bytes = magic.to_le_bytes().to_vec();
    bytes.extend([0, 0, 1, 8]);
    let names_at = if absolute { 64 } else { 72 };
    let units_at = names_at + names.len() as u64;
    let files_at = units_at + units.len() as u64;
    let values_at = files_at + files.len() as u64;
    let functions_at = (values_at + values.len() as u64).next_multiple_of(8);
    let mut words = vec![FUNCTIONS.len() as u64, FILES.len() as u64];
    if !absolute {
        words.push(if twist.text_unstated || layout >= Go126 { 0 } else { GO_TEXT });
    }
    words.extend([names_at, units_at, files_at, values_at, functions_at]);
    bytes.extend(words.into_iter().flat_map(u64::to_le_bytes));
    bytes.extend([names, units, files, values].concat());
    bytes.resize(functions_at as usize, 0);
    bytes.extend([rows, records].concat());
    let mut funcdata_at = FUNCDATA;
    if layout >= Go126 {
        funcdata_at = TABLE + bytes.len() as u64;
        bytes.append(&mut funcdata);
    }
    Table { layout, bytes, names_at, functions_at, funcdata_at, funcdata }
}

pub fn moduledata(table: &Table) -> Vec<u8> {
    let mut words = [0u64; 60];
    words[0] = TABLE;
    words[1] = TABLE + table.names_at;
    words[13] = TABLE + table.functions_at;
    words[17] = FUNCTIONS.len() as u64 + 1;
    words[20] = GO_TEXT;
    words[21] = GO_END;
    words[22] = GO_TEXT;
    match table.layout {
        Go116 => {}
        Go118 => words[38] = table.funcdata_at,
        Go120 | Go126 => words[40] = table.funcdata_at,
        Go127 => words[43] = table.funcdata_at,
    }
    words.map(u64::to_le_bytes).concat()
}

pub fn file(table: &Table, with_moduledata: bool) -> ElfBuilder {
    let file = ElfBuilder::default()
        .section(".text", CODE, TEXT_SECTION, vec![0x90; 0x1000])
        .section(".gopclntab", ALLOC, TABLE, table.bytes.clone())
        .section(".rodata", ALLOC, FUNCDATA, table.funcdata.clone());
    // Somewhere in the data, not at its start.
    let data = [vec![0; 64], moduledata(table)].concat();
    if with_moduledata { file.section(".noptrdata", ALLOC, MODULE, data) } else { file }
}
