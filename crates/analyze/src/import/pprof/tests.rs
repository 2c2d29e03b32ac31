use super::*;
use crate::protobuf::Message;

/// A profile of one location (main, with an inlined call) in one mapping, to be added to.
fn profile() -> Message {
    let mut profile = Message::default();
    for text in
        ["", "cpu", "nanoseconds", "/srv/app", "main", "_Z5innerv", "samples", "count", "k", "v"]
    {
        profile.bytes(6, text.as_bytes());
    }
    profile.message(1, Message::default().number(1, 6).number(2, 7));
    profile.message(1, Message::default().number(1, 1).number(2, 2));
    profile.message(3, Message::default().number(1, 77).number(5, 3));
    profile.message(5, Message::default().number(1, 1).number(2, 4).number(3, 4));
    profile.message(5, Message::default().number(1, 2).number(2, 5).number(3, 5));
    let (mut inner, mut outer) = (Message::default(), Message::default());
    inner.number(1, 2);
    outer.number(1, 1);
    let mut location = Message::default();
    location.number(1, 9).number(2, 77).number(3, 0x1234).message(4, &inner).message(4, &outer);
    profile.message(4, &location);
    profile
}

fn sample(locations: &[u64], values: &[u64]) -> Message {
    let mut sample = Message::default();
    sample.numbers(1, locations).numbers(2, values);
    sample
}

fn read(profile: &Message) -> Result<Named, PprofError> {
    import(Path::new("x"), &profile.clone().into_bytes())
}

#[test]
fn inlined_calls_labels_and_values_are_read() {
    let mut profile = profile();
    let mut labelled = sample(&[9], &[2, 20]);
    labelled.message(3, Message::default().number(1, 8).number(2, 9));
    labelled.message(3, Message::default().number(1, 9).number(3, 5));
    profile.message(2, &labelled).message(2, &sample(&[9, 9], &[1, 10]));
    profile
        .number(9, 1_000)
        .number(10, 5_000)
        .message(11, Message::default().number(1, 1).number(2, 2))
        .number(12, 10);
    let named = read(&profile).unwrap();
    let names = |stack: &super::super::named::NamedStack<'_>| {
        let frame = |id: FrameId| {
            let frame = named.frames().get(id);
            (frame.name.to_string(), frame.raw_name.to_string(), frame.inlined)
        };
        named.path_of(stack).into_iter().map(frame).collect::<Vec<_>>()
    };
    let stacks: Vec<_> = named.stacks().collect();
    let (main, inner) =
        (("main".into(), "main".into(), false), ("inner()".into(), "_Z5innerv".into(), true));
    assert_eq!(names(&stacks[0]), [main.clone(), inner.clone()]);
    assert_eq!(names(&stacks[1]), [main.clone(), inner.clone(), main, inner]);
    assert_eq!((stacks[0].samples, stacks[0].weights), (2, &[2, 20][..]));
    let labels = stacks[0].labels.unwrap();
    assert_eq!((&labels.keys[0], &labels.values[0]), (&"k".into(), &"v".into()));
    assert_eq!(labels.values[1], "5".into());
    assert_eq!(named.measures[named.preferred].quantity, Quantity::CpuTime);
    assert_eq!((named.started_realtime_ns, named.duration_ns), (Some(1_000), Some(5_000)));
    assert_eq!(named.period, [Some(1), Some(10)]);
}

#[test]
fn what_refers_to_nothing_is_an_error_with_its_place() {
    let with = |field: u32, message: &Message| {
        let mut profile = profile();
        profile.message(field, message);
        read(&profile).unwrap_err()
    };
    let dangling = |error: &PprofError, of: &str, at: &str| {
        assert!(
            matches!(error, PprofError::Dangling { what, to, .. } if *what == of && *to == at),
            "{error}"
        );
    };
    dangling(&with(2, &sample(&[8], &[1, 1])), "sample", "location");
    dangling(&with(4, Message::default().number(1, 10).number(2, 78)), "location", "mapping");
    dangling(&with(4, &Message::default()), "location", "number");
    dangling(&with(1, Message::default().number(1, 99)), "sample type", "string");
    assert!(matches!(
        with(4, Message::default().number(1, 9)),
        PprofError::Twice { what: "location", number: 9, .. }
    ));
    assert!(matches!(with(2, &sample(&[9], &[1])), PprofError::Values { values: 1, types: 2, .. }));
    assert_eq!(read(&Message::default()).unwrap_err(), PprofError::NoTypes);
    let mut heavy = profile();
    (0..3).for_each(|_| _ = heavy.message(2, &sample(&[9], &[1, u64::MAX >> 1])));
    assert_eq!(read(&heavy).unwrap_err(), TooMuch::Weight.into());
}

#[test]
fn a_comparison_made_by_pprof_has_negative_values_and_says_so() {
    let mut profile = profile();
    profile.message(2, &sample(&[9], &[1, 10])).message(2, &sample(&[9], &[1, (-5i64) as u64]));
    let named = read(&profile).unwrap();
    assert_eq!(named.stacks().map(|s| s.weights[1]).collect::<Vec<_>>(), [10]);
    assert!(named.statements[0].starts_with("1 sample has"), "{:?}", named.statements);
}

#[test]
fn few_bytes_never_become_much_memory_or_work() {
    // A name of a megabyte, referred to by a million functions.
    let mut profile = profile();
    profile.bytes(6, &vec![b'x'; 1 << 20]);
    let mut location = Message::default();
    location.number(1, 10);
    for function in 100..60_000 {
        profile.message(5, Message::default().number(1, function).number(2, 10));
        location.message(4, Message::default().number(1, function));
    }
    profile.message(4, &location).message(2, &sample(&[10], &[1, 1]));
    assert_eq!(read(&profile).unwrap_err(), TooMuch::Memory.into());

    // Inlined calls without end, in stacks without end.
    let mut deep = self::profile();
    let mut location = Message::default();
    location.number(1, 10);
    for _ in 0..10_000 {
        location.message(4, Message::default().number(1, 1));
    }
    deep.message(4, &location);
    for last in 0..20_000 {
        deep.message(2, &sample(&[vec![9; 1 + last % 3], vec![10; 100]].concat(), &[1, 1]));
    }
    let named = read(&deep).unwrap();
    assert_eq!(named.stacks().len(), 1, "beyond 16,384 frames all are alike");
}

#[test]
fn profiles_are_told_from_other_bytes() {
    assert!(is_pprof(&profile().into_bytes()));
    assert!(is_pprof(&profile().into_bytes()[..40]), "a part of it");
    assert!(is_pprof(b"\x48\x01\x0a\x00"));
    assert!(!is_pprof(b""));
    assert!(!is_pprof(b"PK\x03\x04"));
    assert!(!is_pprof(b"\x0a"));
    assert!(!is_pprof(b"\x7fELF"));
}
