//! Ten thousand mangled names that nobody's compiler wrote: each is answered within bounds. The
//! bounds are steps and bytes, so the test ends or it does not; it reads no clock.

use symbolize::demangle;

/// As `demangle` states: a longer text is not shown.
const MAX_SHOWN_BYTES: usize = 16 << 10;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const CPP_START: [&str; 7] = ["_Z", "_ZN", "_Z1fI", "_Z1f", "_ZZ", "_Z1fIX", "_Z1fIJiEEvDp"];
const CPP: [&str; 62] = [
    "Z",
    "N",
    "I",
    "E",
    "S_",
    "S0_",
    "S1_",
    "T_",
    "T0_",
    "L",
    "Li1E",
    "X",
    "J",
    "sr",
    "cv",
    "dp",
    "Dp",
    "DT",
    "Dt",
    "F",
    "M",
    "P",
    "K",
    "1a",
    "3foo",
    "St",
    "Ul",
    "Ut_",
    "cl",
    "il",
    "tl",
    "on",
    "gs",
    "fp_",
    "fL0p_",
    "_",
    "v",
    "i",
    "nw",
    "na",
    "_ZN",
    "LZ",
    "pl",
    "qu",
    "sZ",
    "sP",
    "Tn",
    "GTt",
    "TV",
    "C1",
    "D1",
    "B1a",
    "UlvE_",
    "A_",
    "Dv",
    "cp",
    "tw",
    "u2ab",
    "U1a",
    "sp",
    "fl",
    "99999999999999999999",
];
const RUST_START: [&str; 5] = ["_R", "_RNv", "_RINv", "_RIC1a", "_RINvC1a1b"];
const RUST: [&str; 40] = [
    "B_",
    "B0_",
    "B1_",
    "B2_",
    "Bc_",
    "Bz_",
    "C1a",
    "NvC1a1b",
    "Nv",
    "Nt",
    "NC",
    "I",
    "E",
    "T",
    "R",
    "Q",
    "P",
    "O",
    "S",
    "A",
    "F",
    "FK",
    "D",
    "p",
    "Gzzzzzz_",
    "L_",
    "Kj1_",
    "Kc61_",
    "u",
    "X",
    "Y",
    "M",
    "s_",
    "h",
    "INvB_",
    "TB_B_",
    "KRe",
    "KTjE",
    "KVB_",
    "u9_99999999999",
];

/// A pattern over and over, with a few pieces thrown in.
fn repeated(dice: &mut Dice, starts: &[&str], pieces: &[&str], bytes: usize) -> String {
    let unit: String = (0..=dice.roll(5)).map(|_| dice.pick(pieces)).collect();
    let mut name = dice.pick(starts).to_owned();
    while name.len() < bytes {
        name.push_str(&unit);
    }
    for _ in 0..dice.roll(3) {
        let at = 4 + dice.roll(name.len() - 4);
        name.insert_str(at, dice.pick(pieces));
    }
    name
}

/// Every substitution holds the one before it `times` times.
fn doubling(levels: usize, times: usize) -> String {
    let mut name = String::from("_Z1fSt4pairIiiE");
    for level in 0..levels {
        let of = format!("S{}_", number_in_base_36(level));
        name.push_str(&format!("St4pairI{}E", of.repeat(times)));
    }
    name
}

fn number_in_base_36(number: usize) -> String {
    let digit = |d: usize| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[d]);
    match number / 36 {
        0 => digit(number).to_string(),
        rest => format!("{}{}", number_in_base_36(rest), digit(number % 36)),
    }
}

/// Every level refers back to the one before it, twice.
fn rust_references(levels: usize) -> String {
    let mut name = String::from("_RIC1a");
    let mut before = "B_".to_owned();
    for _ in 0..levels {
        let at = name.len() - 2;
        name.push_str(&format!("T{before}{before}E"));
        before = format!("B{}_", number_in_base_36(at.saturating_sub(1)).to_lowercase());
    }
    name + "E"
}

#[test]
fn ten_thousand_hostile_names_are_answered() {
    const REAL: [&str; 3] = [
        "_ZNSt6vectorISt4pairImN4llvm9MapVectorImNS2_IPNS1_5ValueEjNS1_8DenseMapIS4_jNS1_12Dense\
         MapInfoIS4_vEENS1_6detail12DenseMapPairIS4_jEEEES_IS0_IS4_jESaISC_EEEENS5_ImjNS6_ImvEENS9\
         _ImjEEEES_IS0_ImSF_ESaISJ_EEEEESaISN_EE17_M_realloc_insertIJSN_EEEvN9__gnu_cxx17__normal\
         _iteratorIPSN_SP_EEDpOT_",
        "_ZN4llvm10checkedAddIiEENSt9enable_ifIXsr3std9is_signedIT_EE5valueENS_8OptionalIS2_EEE4\
         typeES2_S2_",
        "_RINvNtNtCs1234_4core3ptr13drop_in_placeINtNtCs1_5alloc3vec3VecNtNtB4_6string6StringEEC\
         s5678_7mycrate",
    ];
    let mut dice = Dice(88_172_645_463_325_252);
    let mut names: Vec<String> = REAL
        .iter()
        .flat_map(|name| (0..=name.len()).map(|end| name[..end].to_owned()))
        .chain((1..400).map(|levels| doubling(levels, 2)))
        .chain((1..100).map(|levels| doubling(levels, 9)))
        .chain((1..200).map(rust_references))
        .chain((1..600).map(|depth| format!("_Z1f{}i", "P".repeat(depth))))
        .chain((1..600).map(|depth| format!("_Z1fI{}iE", "N1aI".repeat(depth))))
        .collect();
    while names.len() < 10_000 {
        let bytes = [64, 512, 512, 15_000][dice.roll(4)];
        names.push(repeated(&mut dice, &CPP_START, &CPP, bytes));
        names.push(repeated(&mut dice, &RUST_START, &RUST, bytes));
    }
    let mut demangled = 0;
    for name in &names {
        let shown = demangle(name);
        assert!(shown.len() <= name.len().max(MAX_SHOWN_BYTES), "{name}");
        demangled += usize::from(shown != **name);
    }
    // the grammar is entered, not only refused
    assert!(demangled > 300, "only {demangled} names were demangled");
}
