//! What the stack analysis asks of machine code: where it calls through a register, and where it
//! calls something so near that no relocation says what.
//!
//! Calls to named functions have relocations and need no decoding.

use anyhow::{bail, Result};
use object::Architecture;

/// A place of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// A call or a last call to what a register says.
    Indirect,
    /// A call to this offset of the same section, as far as the instruction itself says.
    Near(u64),
}

/// Sites of the code at `begin..end` of a section, each with its offset. Of Thumb code, `is_data`
/// says which offsets are no instructions.
pub(super) fn sites(
    architecture: Architecture,
    section: &[u8],
    (begin, end): (u64, u64),
    is_data: impl Fn(u64) -> bool,
) -> Result<Vec<(u64, Site)>> {
    match architecture {
        Architecture::Arm => Ok(thumb(section, begin, end, is_data)),
        Architecture::Aarch64 => Ok(aarch64(section, begin, end)),
        other => bail!("nobody knows how {other:?} calls"),
    }
}

fn half(section: &[u8], at: u64) -> Option<u32> {
    let at = usize::try_from(at).ok()?;
    Some(u16::from_le_bytes(section.get(at..at + 2)?.try_into().ok()?).into())
}

fn thumb(section: &[u8], begin: u64, end: u64, is_data: impl Fn(u64) -> bool) -> Vec<(u64, Site)> {
    const LINK_REGISTER: u32 = 14;
    let mut found = Vec::new();
    let mut at = begin;
    while at < end {
        let Some(first) = half(section, at) else { break };
        if is_data(at) {
            at += 2;
            continue;
        }
        // The upper five bits say that an instruction has two halves.
        if first >> 11 < 0b11101 {
            let register = first >> 3 & 0xF;
            let is_call = first & 0xFF87 == 0x4780;
            let is_jump = first & 0xFF87 == 0x4700 && register != LINK_REGISTER;
            if is_call || is_jump {
                found.push((at, Site::Indirect));
            }
            at += 2;
            continue;
        }
        let second = half(section, at + 2).unwrap_or(0);
        if first & 0xF800 == 0xF000 && second & 0xD000 == 0xD000 {
            found.push((at, Site::Near(at.wrapping_add_signed(branch(first, second) + 4))));
        }
        at += 4;
    }
    found
}

/// Distance of a Thumb BL, from the place after it.
fn branch(first: u32, second: u32) -> i64 {
    let sign = first >> 10 & 1;
    let upper = [13, 11].map(|bit| !(second >> bit ^ sign) & 1);
    let bits = sign << 24
        | upper[0] << 23
        | upper[1] << 22
        | (first & 0x3FF) << 12
        | (second & 0x7FF) << 1;
    i64::from((bits << 7).cast_signed() >> 7)
}

/// Instructions between the addition of a jump into a table and the jump, at most.
const TABLE_SEARCH: u64 = 32;

/// Whether an instruction may write a register: it is the first that it names, or the second of a
/// pair that is loaded.
fn touches(code: u32, register: u32) -> bool {
    let is_pair = code & 0x3A00_0000 == 0x2800_0000;
    code & 0x1F == register || is_pair && code >> 10 & 0x1F == register
}

fn aarch64(section: &[u8], begin: u64, end: u64) -> Vec<(u64, Site)> {
    let word = |at: u64| Some(half(section, at)? | half(section, at + 2)? << 16);
    let mut found = Vec::new();
    for at in (begin..end).step_by(4) {
        let Some(code) = word(at) else { break };
        let register = code >> 5 & 0x1F;
        let is_call = code & 0xFFFF_FC1F == 0xD63F_0000;
        // A jump into a table of its own adds to the register, and then leaves it alone.
        let before = (1..=TABLE_SEARCH).map_while(|n| at.checked_sub(4 * n));
        let mut before = before.take_while(|at| *at >= begin).filter_map(word);
        let touched = before.find(|code| touches(*code, register));
        let adds = touched.is_some_and(|code| code & 0x7F20_0000 == 0x0B00_0000);
        let is_jump = code & 0xFFFF_FC1F == 0xD61F_0000 && !adds;
        if is_call || is_jump {
            found.push((at, Site::Indirect));
        }
        if code >> 26 == 0b100101 {
            let distance = i64::from((code << 6).cast_signed() >> 6) * 4;
            found.push((at, Site::Near(at.wrapping_add_signed(distance))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(architecture: Architecture, code: &[u8]) -> Vec<(u64, Site)> {
        sites(architecture, code, (0, code.len() as u64), |_| false).unwrap()
    }

    #[test]
    fn thumb_calls_are_seen() {
        let halves: [u16; 7] = [
            0x4798, // blx r3
            0x4770, // bx lr
            0x4718, // bx r3
            0xF8D0, 0x4780, // ldr.w r4, [r0, #0x780]: its second half is no blx
            0xF7FF, 0xFFF9, // bl to itself minus 14 plus 4
        ];
        let code: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        assert_eq!(
            of(Architecture::Arm, &code),
            [(0, Site::Indirect), (4, Site::Indirect), (10, Site::Near(0))]
        );
        let data = sites(Architecture::Arm, &code, (0, 4), |at| at == 0).unwrap();
        assert!(data.is_empty());
    }

    #[test]
    fn aarch64_calls_are_seen_and_jump_tables_are_none() {
        let words: [u32; 12] = [
            0xD63F_0100, // blr x8
            0xD61F_0120, // br x9
            0x8B0B_014A, // add x10, x10, x11
            0xD61F_0140, // br x10
            0x9400_0001, // bl to the next
            0x8B10_09EF, // add x15, x15, x16, lsl #2
            0xD348_FD2C, // lsr x12, x9, #8
            0xD61F_01E0, // br x15
            0x8B10_09EF, // add x15, x15, x16, lsl #2
            0xA940_3C68, // ldp x8, x15, [x3]
            0xD61F_01E0, // br x15
            0xD65F_03C0, // ret
        ];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(
            of(Architecture::Aarch64, &code),
            [(0, Site::Indirect), (4, Site::Indirect), (16, Site::Near(20)), (40, Site::Indirect)]
        );
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(sites(Architecture::Hexagon, &[], (0, 0), |_| false).is_err());
    }
}
