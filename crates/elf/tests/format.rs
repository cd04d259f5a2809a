//! Rewritten files, byte for byte: what the format says, and which places are left alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use common::image::{DATA, Image, TEXT};
use common::{patch, patched, trampoline};
use unlade_elf::rewrite::{Fault, is_bun};
use unlade_elf::{Error, Outcome, Reason, rewrite};

const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// `mov eax, 1`, `mov edi, 1`, `lea rsi, [rip + …]`, `mov edx, 3`, `syscall`, then `exit`.
const HELLO: [&[u8]; 8] = [
    &[0xb8, 1, 0, 0, 0],
    &[0xbf, 1, 0, 0, 0],
    &[0x48, 0x8d, 0x35, 0xef, 0x0f, 0, 0],
    &[0xba, 3, 0, 0, 0],
    &SYSCALL,
    &[0xb8, 60, 0, 0, 0],
    &[0x31, 0xff],
    &SYSCALL,
];

#[test]
fn the_worked_example() {
    let file = Image::new(&HELLO.concat()).build();
    assert!(file.len() <= 0x3000);
    let patch = patch(&file).unwrap();
    assert_eq!(patch.changes[0].offset, 0x1011);
    assert_eq!(patch.changes[0].bytes(), [0xe9, 0xf2, 0x1f, 0, 0, 0x90, 0x90]);
    let rewritten = patched(&file, &patch);
    let (offset, address, code) = trampoline(&rewritten);
    assert_eq!((offset, address, code.len()), (0x3000, 0x40_3000, 0x38));
    assert_eq!(code[..8], [0; 8]);
    #[rustfmt::skip]
    assert_eq!(code[8..31], [
        0xba, 3, 0, 0, 0,
        0x48, 0x8d, 0x0d, 6, 0, 0, 0,
        0xff, 0x25, 0xe6, 0xff, 0xff, 0xff,
        0xe9, 0xf9, 0xdf, 0xff, 0xff,
    ]);
    // The headers are as they were, and what is behind the file is zero up to the page.
    assert_eq!(rewritten[..0x1011], file[..0x1011]);
    assert!(rewritten[file.len()..0x3000].iter().all(|byte| *byte == 0));
    assert_eq!(rewrite(&rewritten), Ok(Outcome::Kept(Reason::Already)));
}

/// Where in the code something is replaced, and by how many bytes; `None` if a call has no room.
fn check(image: &Image, expected: Option<&[(u64, usize)]>) {
    match (rewrite(&image.build()).unwrap(), expected) {
        (Outcome::Rewritten(patch), Some(expected)) => {
            let found: Vec<(u64, usize)> =
                patch.changes.iter().map(|change| (change.offset - 0x1000, change.bytes().len())).collect();
            assert_eq!(found, expected);
        }
        (Outcome::Unrewritable { obstacles, .. }, None) => {
            assert!(obstacles.iter().all(|obstacle| obstacle.fault == Fault::NoRoom), "{obstacles:?}");
        }
        (other, expected) => panic!("{other:?}, not {expected:?}"),
    }
}

fn code(parts: &[&[u8]]) -> Image {
    Image::new(&parts.concat())
}

const MOV_EAX: &[u8] = &[0xb8, 1, 0, 0, 0];
const RET: &[u8] = &[0xc3];
const NOP: &[u8] = &[0x90];
const CMP: &[u8] = &[0x48, 0x3d, 1, 0xf0, 0xff, 0xff];

#[test]
fn instructions_before_are_taken_first() {
    check(&code(&[NOP, MOV_EAX, &SYSCALL, CMP, RET]), Some(&[(1, 7)]));
    check(&code(&[NOP, NOP, NOP, NOP, &SYSCALL, CMP, RET]), Some(&[(1, 5)]));
}

#[test]
fn what_does_not_fall_through_is_not_crossed() {
    // ret, jmp rax, call, int3, ud2
    for barrier in [RET, &[0xff, 0xe0], &[0xe8, 0, 0, 0, 0], &[0xcc], &[0x0f, 0x0b]] {
        check(&code(&[barrier, &SYSCALL, CMP, RET]), Some(&[(barrier.len() as u64, 8)]));
        check(&code(&[barrier, &SYSCALL, RET, NOP, NOP]), None);
    }
}

#[test]
fn a_jump_to_the_first_instruction_that_is_taken_is_fine() {
    let back: &[u8] = &[0xeb, 0xf7];
    // mov; syscall; jmp to the mov
    check(&code(&[MOV_EAX, &SYSCALL, back, CMP]), Some(&[(0, 7)]));
    // … and to the call itself.
    check(&code(&[MOV_EAX, &SYSCALL, &[0xeb, 0xfc], CMP]), None);
    check(&code(&[MOV_EAX, &SYSCALL, CMP, &[0xeb, 0xf6], CMP]), Some(&[(5, 8)]));
    // … and behind it, into what would be taken otherwise.
    check(&code(&[RET, &SYSCALL, NOP, CMP, &[0xeb, 0xf8]]), None);
}

#[test]
fn a_jump_into_an_instruction_counts() {
    // lock cmpxchg [rdi], esi, and a jump behind the prefix.
    let locked: &[u8] = &[0xf0, 0x0f, 0xb1, 0x37];
    check(&code(&[RET, &SYSCALL, locked, RET]), Some(&[(1, 6)]));
    check(&code(&[RET, &SYSCALL, locked, &[0x74, 0xfb], RET]), None);
}

#[test]
fn the_last_one_behind_may_be_a_jump_that_reaches() {
    let jump: &[u8] = &[0xe9, 0, 0, 0, 0];
    check(&code(&[RET, &SYSCALL, jump]), Some(&[(1, 7)]));
    check(&code(&[RET, &SYSCALL, &[0x0f, 0x88, 0, 0, 0, 0], RET]), Some(&[(1, 8)]));
    check(&code(&[RET, &SYSCALL, NOP, NOP, RET]), Some(&[(1, 5)]));
    check(&code(&[RET, &SYSCALL, NOP, &[0xeb, 0], RET]), None);
    // A call would leave an address on the stack that nobody knows.
    check(&code(&[RET, &SYSCALL, &[0xe8, 0, 0, 0, 0], RET]), None);
}

#[test]
fn places_do_not_overlap() {
    check(&code(&[RET, &SYSCALL, MOV_EAX, &SYSCALL, CMP]), Some(&[(1, 7), (8, 8)]));
    check(&code(&[MOV_EAX, &SYSCALL, MOV_EAX, &SYSCALL, RET]), Some(&[(0, 7), (7, 7)]));
    check(&code(&[RET, &SYSCALL, MOV_EAX, &SYSCALL, RET]), None);
    check(&code(&[MOV_EAX, &SYSCALL, &SYSCALL, CMP, RET]), Some(&[(0, 7), (7, 8)]));
    check(&code(&[RET, &SYSCALL, &SYSCALL, CMP, RET]), None);
}

#[test]
fn targets_that_no_jump_shows() {
    let plain = || code(&[RET, MOV_EAX, &SYSCALL, CMP, RET]);
    check(&plain(), Some(&[(1, 7)]));
    let call = TEXT + 6;
    // A symbol, a word in the data, an address that an instruction takes.
    check(&Image { symbols: vec![call], ..plain() }, Some(&[(6, 8)]));
    check(&Image { data: call.to_le_bytes().into(), ..plain() }, Some(&[(6, 8)]));
    let lea: &[u8] = &[0x48, 0x8d, 0x05, 0xef, 0xff, 0xff, 0xff];
    check(&code(&[RET, MOV_EAX, &SYSCALL, CMP, RET, NOP, lea]), Some(&[(6, 8)]));
    // A table of jumps: lea rdx, [rip + table], and distances from the table.
    let entry = |address: u64| (address.wrapping_sub(DATA) as u32).to_le_bytes();
    let lea: &[u8] = &[0x48, 0x8d, 0x15, 0xe9, 0x0f, 0, 0];
    let data = [entry(TEXT), entry(call), [9; 4]].concat();
    check(&Image { data, kind: 3, ..code(&[RET, MOV_EAX, &SYSCALL, CMP, RET, NOP, lea]) }, Some(&[(6, 8)]));
}

#[test]
fn moved_operands_lead_to_the_same_place() {
    // mov eax, [rip + data]; syscall
    let file = code(&[&[0x8b, 0x05, 0xfa, 0x0f, 0, 0], &SYSCALL, RET]).build();
    let rewritten = patched(&file, &patch(&file).unwrap());
    let (_, address, code) = trampoline(&rewritten);
    assert_eq!(code[8..10], [0x8b, 0x05]);
    let distance = i32::from_le_bytes(code[10..14].try_into().unwrap());
    assert_eq!((address + 14).wrapping_add_signed(distance.into()), DATA);
}

#[test]
fn what_is_kept() {
    let kept = |file: Vec<u8>, reason| assert_eq!(rewrite(&file), Ok(Outcome::Kept(reason)));
    kept(b"#!/bin/sh\n".into(), Reason::NotElf);
    kept(Image { machine: 183, ..Image::new(&SYSCALL) }.build(), Reason::OtherArchitecture);
    kept(Image { kind: 1, ..Image::new(&SYSCALL) }.build(), Reason::NotLoaded);
    kept(Image { section: |text| text.2 = 0, ..Image::new(&SYSCALL) }.build(), Reason::NoCode);
    kept(Image::new(RET).build(), Reason::NoCalls);
    // The bytes of a call inside of another instruction.
    kept(Image::new(&[0xb8, 0x0f, 0x05, 0, 0, 0xc3]).build(), Reason::NoCalls);
}

#[test]
fn what_bun_packaged_is_an_error() {
    let file = [&Image::new(&HELLO.concat()).build()[..], b"\n---- Bun! ----\n"].concat();
    assert!(is_bun(&file));
    assert_eq!(rewrite(&file), Err(Error::Bun));
}

#[test]
fn sections_that_lie() {
    let faults = |image: Image| match rewrite(&image.build()).unwrap() {
        Outcome::Unrewritable { obstacles, .. } => {
            obstacles.iter().map(|obstacle| obstacle.fault).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let hello = || Image::new(&HELLO.concat());
    assert_eq!(faults(Image { text_flags: 7, ..hello() }), [Fault::Writable]);
    assert_eq!(faults(Image { text_flags: 4, ..hello() }), [Fault::Misplaced]);
    assert_eq!(faults(Image { section: |text| text.0 += 16, ..hello() })[0], Fault::Misplaced);
    assert_eq!(faults(Image { uncovered: SYSCALL.into(), ..hello() }), [Fault::Uncovered]);
    assert_eq!(faults(Image { section: |text| text.2 -= 9, ..hello() }), [Fault::Uncovered]);
}

#[test]
fn data_between_the_code() {
    // The first byte of a longer instruction stands in front of a function, which a symbol knows.
    let text = [&[0xb8, 0xc3, 0xc3][..], &SYSCALL, &[0xc3, 0x90], CMP].concat();
    check_unclear(Image { symbols: vec![TEXT + 3], ..Image::new(&text) }, TEXT + 3);
    // A jump leads there.
    check_unclear(Image::new(&[&text[..], &[0xeb, 0xf4]].concat()), TEXT + 3);
    // What is no instruction stands near it, unless a function begins in between.
    let text = [&[0x06, 0x90][..], &SYSCALL, CMP, RET].concat();
    check_unclear(Image::new(&text), TEXT + 2);
    check_unclear(Image::new(&[RET, &SYSCALL, CMP, RET, &[0x06]].concat()), TEXT + 1);
    check(&Image { symbols: vec![TEXT + 2], ..Image::new(&text) }, Some(&[(2, 8)]));
    // The other way round: what reads like a call is the end of data.
    let text = [&[0x0f][..], &[0x05, 1, 0, 0, 0], RET].concat();
    check_unclear(Image { symbols: vec![TEXT + 1], ..Image::new(&text) }, TEXT);
}

fn check_unclear(image: Image, address: u64) {
    match rewrite(&image.build()).unwrap() {
        Outcome::Unrewritable { obstacles, .. } => {
            let unclear = obstacles.iter().find(|obstacle| obstacle.fault == Fault::Unclear);
            assert_eq!(unclear.map(|obstacle| obstacle.address), Some(address), "{obstacles:?}");
        }
        other => panic!("{other:?}"),
    }
}
