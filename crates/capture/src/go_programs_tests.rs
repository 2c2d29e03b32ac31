use super::*;
use crate::elf_facts::ElfFacts;
use crate::go_runtime::GoRuntime;
use crate::process::{Following, Processes};
use crate::record::GoOffsets;
use crate::recorder::tests::{Fake, OTHER, PID};
use crate::sideband::{Change, SideBand};

const OFFSETS: GoOffsets = GoOffsets {
    g: -8,
    g_m: 48,
    m_g0: 0,
    m_curg: 192,
    g_sched_sp: 56,
    g_sched_pc: 64,
    g_sched_bp: 104,
    zero: 0,
};

/// Process PID, its program mapped at 0x4000 from file offset 0x1000; the file's code was understood, or not.
fn processes(go_runtime: Option<GoRuntime>) -> Processes {
    let mut processes = Processes::new(Following::All);
    processes.add_target(PID, &mut Fake);
    let maps = processes.get(PID).unwrap().maps().unwrap();
    let facts = ElfFacts { go_runtime, ..ElfFacts::default() };
    *maps.regions()[0].file.facts.borrow_mut() = Some(facts);
    processes
}

#[test]
fn a_go_program_is_noted_once_with_the_address_in_its_process() {
    let processes =
        processes(Some(GoRuntime { switch_at: 0x1980, save_at: 0x1900, offsets: OFFSETS }));
    let mut programs = GoPrograms::default();
    let program = GoProgram { switch_address: 0x4980, offsets: OFFSETS };
    assert_eq!(programs.note(processes.get(PID).unwrap()), Some(Some(program)));
    assert_eq!(programs.note(processes.get(PID).unwrap()), None);
    let uid = processes.get(PID).unwrap().uid;
    assert!(!programs.forget(PID, uid - 1), "an earlier image than the one looked at");
    assert!(programs.forget(PID, uid + 1), "that of a later one that had no sample");
    assert!(!programs.forget(PID, uid));
}

#[test]
fn the_next_program_under_a_number_is_looked_at_anew() {
    let mut processes =
        processes(Some(GoRuntime { switch_at: 0x1980, save_at: 0x1900, offsets: OFFSETS }));
    let mut programs = GoPrograms::default();
    assert!(programs.note(processes.get(PID).unwrap()).is_some());
    processes.apply(SideBand { time_ns: 9, pid: PID, tid: PID, change: Change::Exec }, &mut Fake);
    assert_eq!(programs.note(processes.get(PID).unwrap()), None, "nothing is mapped yet");
    processes.add_target(PID, &mut Fake);
    let maps = processes.get(PID).unwrap().maps().unwrap();
    *maps.regions()[0].file.facts.borrow_mut() = None;
    assert_eq!(programs.note(processes.get(PID).unwrap()), Some(None));
}

#[test]
fn other_programs_are_not_looked_at_again_and_change_nothing() {
    let mut processes = processes(None);
    let mut programs = GoPrograms::default();
    assert_eq!(programs.note(processes.get(PID).unwrap()), None);
    assert_eq!(programs.looked_at.len(), 1);
    processes.add_target(OTHER, &mut Fake);
    assert_eq!(programs.note(processes.get(OTHER).unwrap()), None);
    assert!(!programs.forget(PID, processes.get(PID).unwrap().uid));
    assert_eq!(programs.looked_at.len(), 1);
}

#[test]
fn a_file_is_looked_into_once() {
    let processes = processes(None);
    let process = processes.get(PID).unwrap();
    let file = &process.maps().unwrap().regions()[0].file;
    *file.facts.borrow_mut() = None;
    let runtime = GoRuntime { switch_at: 0x1980, save_at: 0x1900, offsets: OFFSETS };
    let mut programs = GoPrograms::default();
    programs.files.insert(file.identity, Some(runtime));
    let program = GoProgram { switch_address: 0x4980, offsets: OFFSETS };
    assert_eq!(programs.note(process), Some(Some(program)));
}
