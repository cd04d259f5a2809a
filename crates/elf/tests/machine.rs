//! Files of the machine, taken apart again by `objdump`: each call that it sees leads to its detour and back, and what
//! was moved is what was there.
//!
//! `UNLADE_ELF_FILES=500 cargo test -p unlade-elf --test machine` looks at more of them.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "judges are processes that work on files"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{files, patched, run, trampoline};
use unlade_elf::rewrite::Fault;
use unlade_elf::{Obstacle, Outcome, rewrite};

const FILES: usize = 25;

/// For larger ones `objdump` takes too long, unless more files than usual are asked for.
const JUDGED: usize = 2 << 20;

/// An instruction as `objdump` shows it.
struct Instruction {
    next: u64,
    raw: String,
}

impl Instruction {
    /// Without names of symbols, and without distances where the place stands beside them:
    /// `lea rcx,[rip] # 401000`.
    fn text(&self) -> String {
        let mut text = self.raw.clone();
        while let (Some(start), Some(end)) = (text.find('<'), text.find('>')) {
            text.replace_range(start..=end, "");
        }
        if let (Some(start), Some(_)) = (text.find("[rip+0x"), text.find('#')) {
            let end = start + text[start..].find(']').unwrap();
            text.replace_range(start..=end, "[rip]");
        }
        text.replace("# 0x", "# ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn is_call(&self) -> bool {
        self.raw.trim_end() == "syscall"
    }

    /// Where a jump leads to.
    fn target(&self) -> Option<u64> {
        let text = self.text();
        u64::from_str_radix(text.strip_prefix("jmp ")?.trim_start_matches("0x"), 16).ok()
    }
}

type Code = BTreeMap<u64, Instruction>;

fn disassemble(command: &mut Command) -> Code {
    let text = run(command.args(["-w", "-M", "intel"]));
    let instruction = |line: &str| {
        let mut cells = line.splitn(3, '\t');
        let (address, bytes, raw) = (cells.next()?, cells.next()?, cells.next()?);
        let address = u64::from_str_radix(address.trim().trim_end_matches(':'), 16).unwrap();
        let length = bytes.trim_end().len().div_ceil(3) as u64;
        Some((address, Instruction { next: address + length, raw: raw.into() }))
    };
    text.lines().filter_map(instruction).collect()
}

fn judge(path: &Path, file: &[u8], rewritten: &[u8]) {
    let scratch = tempfile::tempdir().unwrap();
    let (offset, address, code) = trampoline(rewritten);
    let (whole, behind) = (scratch.path().join("whole"), scratch.path().join("behind"));
    fs::write(&whole, rewritten).unwrap();
    fs::write(&behind, &code[8..]).unwrap();
    assert!(offset >= file.len() as u64);

    let before = disassemble(Command::new("objdump").arg("-d").arg(path));
    let after = disassemble(Command::new("objdump").arg("-d").arg(&whole));
    let vma = format!("--adjust-vma={:#x}", address + 8);
    let detours = disassemble(
        Command::new("objdump").args(["-D", "-b", "binary", "-m", "i386:x86-64", &vma]).arg(&behind),
    );
    assert!(!after.values().any(Instruction::is_call), "{}", path.display());
    let calls = before.iter().filter(|(_, instruction)| instruction.is_call());
    for (&call, _) in calls {
        follow(call, address, &before, &after, &detours).unwrap_or_else(|what| {
            panic!("{}: call at {call:#x}: {what}", path.display());
        });
    }
}

/// Follows the way of a call through its detour.
fn follow(call: u64, slot: u64, before: &Code, after: &Code, detours: &Code) -> Result<(), String> {
    // The jump stands where the call was, or before it.
    let is_jump = |at: &u64| {
        let now = after.get(at).filter(|now| before.get(at).is_some_and(|was| was.raw != now.raw));
        now.is_some_and(|now| now.target().is_some() && now.next == at + 5)
    };
    let start = (0..=17).map(|back| call - back).find(is_jump).ok_or("no jump")?;
    let (mut old, mut new) = (start, after[&start].target().unwrap_or_default());
    let mut step = || {
        let instruction = detours.get(&new).ok_or(format!("nothing at {new:#x}"))?;
        let length = instruction.next - new;
        new = instruction.next;
        Ok::<_, String>((instruction, length))
    };
    let same = |old: &mut u64, (new, length): (&Instruction, u64)| {
        let was = &before[old];
        let is_same = was.text() == new.text() && was.next - *old == length;
        *old = was.next;
        if is_same { Ok(()) } else { Err(format!("{} became {}", was.raw, new.raw)) }
    };
    while old < call {
        same(&mut old, step()?)?;
    }
    let (lea, _) = step()?;
    let expected = format!("lea rcx,[rip] # {:x}", lea.next + 6);
    let (jump, length) = step()?;
    if lea.text() != expected || jump.text() != format!("jmp QWORD PTR [rip] # {slot:x}") || length != 6 {
        return Err(format!("{}; {}", lea.raw, jump.raw));
    }
    old = before[&old].next;
    while old - start < 5 {
        same(&mut old, step()?)?;
    }
    let (back, _) = step()?;
    if back.target() != Some(old) {
        return Err(format!("{}, not to {old:#x}", back.raw));
    }
    if (start + 5..old).any(|at| after[&at].raw.trim_end() != "nop") {
        return Err("something else than nops is left".into());
    }
    Ok(())
}

/// Whether an obstacle is one: around it there are tables, as in OpenSSL's libraries, and `objdump` finds them `(bad)`, or
/// knows from a symbol that they are no code; or it is a call, and something leads right behind it, as QEMU has it.
fn is_one(path: &Path, obstacle: Obstacle) -> bool {
    let [start, stop] = [obstacle.address - 64, obstacle.address + 64];
    let mut objdump = Command::new("objdump");
    objdump.arg("-d").arg(format!("--start-address={start}")).arg(format!("--stop-address={stop}"));
    let said = run(objdump.arg(path));
    match obstacle.fault {
        Fault::Unclear => said.contains("(bad)") || !said.contains("syscall"),
        Fault::NoRoom => said.contains("syscall"),
        _ => false,
    }
}

#[test]
fn files_of_the_machine() {
    let (mut judged, mut kept, mut unrewritable) = (0, 0, 0);
    for path in files(FILES) {
        let file = fs::read(&path).unwrap();
        match rewrite(&file).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
            Outcome::Rewritten(patch) => {
                let rewritten = patched(&file, &patch);
                if file.len() <= JUDGED || std::env::var_os("UNLADE_ELF_FILES").is_some() {
                    judge(&path, &file, &rewritten);
                    judged += 1;
                }
            }
            Outcome::Kept(_) => kept += 1,
            Outcome::Unrewritable { obstacles, .. } => {
                unrewritable += 1;
                for obstacle in obstacles {
                    assert!(is_one(&path, obstacle), "{}: {obstacle}", path.display());
                }
            }
        }
    }
    println!("{judged} judged, {kept} have nothing to rewrite, {unrewritable} cannot be rewritten");
    assert!(judged >= 2, "only {judged} were rewritten");
}
