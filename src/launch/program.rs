//! What the first bytes of a file say about whether it can be run. Pure.

use std::ops::Range;

/// How the kernel runs a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Program<'a> {
    /// `#!INTERPRETER [ARGUMENT]`
    Script {
        /// As the kernel takes it: with a CR, where the line ends with CR LF.
        interpreter: &'a [u8],
        /// All that follows, as one argument.
        argument: &'a [u8],
    },
    /// An executable of this or another machine.
    Elf(Elf),
    /// Anything else: execvp(3) has the shell run it.
    Other,
}

/// The fields of an ELF header that matter (elf(5)).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// `e_machine`
    pub(crate) machine: u16,
    /// Where the file names its dynamic linker, if it has one within what was read.
    pub(crate) linker: Option<Range<usize>>,
}

/// The kernel looks at this much of a script's first line (`BINPRM_BUF_SIZE`).
const FIRST_LINE: usize = 256;

impl<'a> Program<'a> {
    /// Reads the first bytes of a file.
    pub(super) fn parse(head: &'a [u8]) -> Self {
        if let Some(rest) = head.strip_prefix(b"#!") {
            let line = &rest[..rest.len().min(FIRST_LINE - 2)];
            let line = &line[..line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len())];
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
            let line = &line[start..];
            let end = line.iter().position(is_blank).unwrap_or(line.len());
            let argument = line[end..].trim_ascii_start();
            let argument = &argument[..argument.iter().rposition(|byte| !is_blank(byte)).map_or(0, |at| at + 1)];
            return match &line[..end] {
                b"" => Self::Other,
                interpreter => Self::Script { interpreter, argument },
            };
        }
        Elf::parse(head).map_or(Self::Other, Self::Elf)
    }
}

impl Elf {
    fn parse(head: &[u8]) -> Option<Self> {
        if !head.starts_with(b"\x7fELF") {
            return None;
        }
        let (is_64, is_little) = (*head.get(4)? == 2, *head.get(5)? == 1);
        let number = |at: usize, length: usize| -> Option<usize> {
            let bytes = head.get(at..at.checked_add(length)?)?;
            let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            Some(if is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
        };
        let word = if is_64 { 8 } else { 4 };
        let linker = || {
            let table = number(if is_64 { 32 } else { 28 }, word)?;
            let (size, count) = if is_64 { (number(54, 2)?, number(56, 2)?) } else { (number(42, 2)?, number(44, 2)?) };
            (0..count).find_map(|index| {
                const PT_INTERP: usize = 3;
                let entry = table.checked_add(index * size)?;
                if number(entry, 4)? != PT_INTERP {
                    return None;
                }
                let from = number(entry.checked_add(word)?, word)?;
                let length = number(entry.checked_add(if is_64 { 32 } else { 16 })?, word)?;
                Some(from..from.checked_add(length)?)
            })
        };
        Some(Self { machine: u16::try_from(number(18, 2)?).ok()?, linker: linker() })
    }
}

/// The name of a machine (`e_machine`, elf.h), as images are labelled.
pub(super) fn machine_name(machine: u16) -> String {
    match machine {
        3 => "386".to_owned(),
        8 => "mips".to_owned(),
        21 => "ppc64".to_owned(),
        22 => "s390x".to_owned(),
        40 => "arm".to_owned(),
        62 => "amd64".to_owned(),
        183 => "arm64".to_owned(),
        243 => "riscv64".to_owned(),
        258 => "loong64".to_owned(),
        other => format!("ELF machine {other}"),
    }
}

/// The machines whose executables a kernel may run itself that runs this one: those of the same family.
pub(super) fn family() -> &'static [u16] {
    if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
        &[62, 3]
    } else if cfg!(any(target_arch = "aarch64", target_arch = "arm")) {
        &[183, 40]
    } else if cfg!(any(target_arch = "riscv64", target_arch = "riscv32")) {
        &[243]
    } else if cfg!(target_arch = "powerpc64") {
        &[21, 20]
    } else if cfg!(target_arch = "s390x") {
        &[22]
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn script<'a>(interpreter: &'a str, argument: &'a str) -> Program<'a> {
        Program::Script { interpreter: interpreter.as_bytes(), argument: argument.as_bytes() }
    }

    #[test]
    fn a_first_line_is_read_as_the_kernel_reads_it() {
        for (line, expected) in [
            ("#!/bin/sh\necho", script("/bin/sh", "")),
            ("#! /bin/sh -e \necho", script("/bin/sh", "-e")),
            ("#!\t/usr/bin/env\tpython3 -u\n", script("/usr/bin/env", "python3 -u")),
            ("#!/bin/sh\r\necho", script("/bin/sh\r", "")),
            ("#!/usr/bin/env bash\r\n", script("/usr/bin/env", "bash\r")),
            ("#!/bin/sh", script("/bin/sh", "")),
            ("#!\n", Program::Other),
            ("echo", Program::Other),
            ("", Program::Other),
        ] {
            assert_eq!(Program::parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    // macOS has executables of another kind.
    #[cfg(not(target_os = "macos"))]
    #[test]
    fn this_program_is_of_this_machine() {
        let head = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let Program::Elf(elf) = Program::parse(&head) else { panic!("no ELF") };
        assert!(family().contains(&elf.machine), "{}", machine_name(elf.machine));
        if let Some(linker) = elf.linker {
            assert!(head[linker].starts_with(b"/lib"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..300), elf: bool, class in 0..3u8) {
            let head = if elf { [&b"\x7fELF"[..], &[class, 1], &bytes].concat() } else { bytes };
            Program::parse(&head);
        }
    }
}
