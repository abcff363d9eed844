//! The call graph of a relocatable object, with the stack frame of each function.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{bail, ensure, Context, Result};
use object::read::RelocationTarget;
use object::{
    Architecture, Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionIndex, SectionKind,
    SymbolKind,
};

use super::code::{self, Site};

/// A function, as the object has it.
#[derive(Debug, Default)]
pub(super) struct Function {
    /// Name in the object, and the others it has.
    pub(super) names: BTreeSet<String>,
    /// Bytes of its frame, if the compiler said so.
    pub(super) frame: Option<u64>,
    /// Places of what it calls in [`Image::functions`].
    pub(super) calls: BTreeSet<usize>,
    /// Functions whose address its own code has. A compiler that saves bytes keeps the address of
    /// what is called several times in a register.
    pub(super) addresses: BTreeSet<usize>,
    /// Calls through a register.
    pub(super) indirect: usize,
    pub(super) range: (u64, u64),
}

impl Function {
    /// A name for people: without hashes.
    pub(super) fn shown(&self) -> String {
        let name = self.names.first().map_or("", String::as_str);
        format!("{:#}", rustc_demangle::demangle(name))
    }
}

/// All functions of an object.
#[derive(Debug, Default)]
pub(super) struct Image {
    pub(super) functions: Vec<Function>,
    /// Names of what others have to bring, and is called.
    pub(super) outside: BTreeSet<String>,
}

impl Image {
    /// Reads an object that a linker made with `-r`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("no {}", path.display()))?;
        Self::parse(&object::File::parse(&*bytes)?)
    }

    /// Lets functions of this name call themselves: what is left of that is a larger frame.
    pub(super) fn repeat(&mut self, name: &str, times: u64) {
        for (place, function) in self.functions.iter_mut().enumerate() {
            if function.shown() == name && function.calls.remove(&place) {
                function.frame = function.frame.map(|frame| frame * times);
            }
        }
    }

    fn parse(file: &object::File<'_>) -> Result<Self> {
        let mut reader = Reader { file, image: Self::default(), places: HashMap::new() };
        reader.functions();
        for section in file.sections() {
            match (section.kind(), section.name()?) {
                (SectionKind::Text, _) => reader.calls(&section)?,
                (_, ".stack_sizes") => reader.frames(&section)?,
                _ => {}
            }
        }
        ensure!(!reader.image.functions.is_empty(), "the object has no function");
        Ok(reader.image)
    }
}

struct Reader<'a, 'd> {
    file: &'a object::File<'d>,
    image: Image,
    /// Functions by section and begin.
    places: HashMap<usize, BTreeMap<u64, usize>>,
}

impl<'a, 'd> Reader<'a, 'd> {
    fn is_arm(&self) -> bool {
        self.file.architecture() == Architecture::Arm
    }

    /// The lowest bit of an address says that it is Thumb code.
    fn address(&self, value: u64) -> u64 {
        if self.is_arm() {
            value & !1
        } else {
            value
        }
    }

    fn functions(&mut self) {
        for symbol in self.file.symbols() {
            let (Some(section), SymbolKind::Text) = (symbol.section_index(), symbol.kind()) else {
                continue;
            };
            let name = symbol.name().unwrap_or_default();
            if name.is_empty() || name.starts_with('$') {
                continue;
            }
            let begin = self.address(symbol.address());
            let functions = &mut self.image.functions;
            let at = *self.places.entry(section.0).or_default().entry(begin).or_insert_with(|| {
                functions.push(Function::default());
                functions.len() - 1
            });
            let function = &mut functions[at];
            function.names.insert(name.to_owned());
            function.range = (begin, function.range.1.max(begin + symbol.size()));
        }
    }

    fn at(&self, section: usize, offset: u64) -> Option<usize> {
        let (_, place) = self.places.get(&section)?.range(..=offset).next_back()?;
        let (begin, end) = self.image.functions.get(*place)?.range;
        (offset < end || offset == begin).then_some(*place)
    }

    /// The function that a relocation means. `written` is what the relocated place says.
    fn target(&mut self, relocation: &object::Relocation, written: i64) -> Result<Option<usize>> {
        let RelocationTarget::Symbol(index) = relocation.target() else { return Ok(None) };
        let symbol = self.file.symbol_by_index(index)?;
        let Some(section) = symbol.section_index() else {
            if let Ok(name) = symbol.name() {
                self.image.outside.insert(name.to_owned());
            }
            return Ok(None);
        };
        let addend = match symbol.kind() {
            SymbolKind::Section if relocation.has_implicit_addend() => written,
            SymbolKind::Section => relocation.addend(),
            _ => 0,
        };
        let offset = self.address(symbol.address().wrapping_add_signed(addend));
        Ok(self.at(section.0, offset))
    }

    fn calls(&mut self, section: &object::Section<'d, 'a>) -> Result<()> {
        let mut relocated = BTreeSet::new();
        for (offset, relocation) in section.relocations() {
            let RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
            relocated.insert(offset);
            let is_branch = is_branch(self.file.architecture(), r_type)?;
            let from = self.at(section.index().0, offset);
            let to = self.target(&relocation, 0)?;
            if let (Some(from), Some(to)) = (from, to) {
                let function = &mut self.image.functions[from];
                let list = if is_branch { &mut function.calls } else { &mut function.addresses };
                list.insert(to);
            }
        }
        let bytes = section.data()?;
        let data = self.data_in_code(section.index());
        let places: Vec<usize> = self
            .places
            .get(&section.index().0)
            .into_iter()
            .flat_map(|m| m.values().copied())
            .collect();
        for place in places {
            let function = &self.image.functions[place];
            let is_data = |at| data.range(..=at).next_back().is_some_and(|(_, is_data)| *is_data);
            for (at, site) in code::sites(self.file.architecture(), bytes, function.range, is_data)?
            {
                match site {
                    Site::Indirect => self.image.functions[place].indirect += 1,
                    Site::Near(to) if !relocated.contains(&at) => {
                        let to = self.at(section.index().0, to);
                        let to = to.context("a call into nowhere")?;
                        self.image.functions[place].calls.insert(to);
                    }
                    Site::Near(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Where instructions (`$t`, `$x`) and data (`$d`) begin in a section.
    fn data_in_code(&self, section: SectionIndex) -> BTreeMap<u64, bool> {
        let symbols = self.file.symbols().filter(|s| s.section_index() == Some(section));
        let marks = symbols.filter_map(|symbol| {
            let is_data = match symbol.name().ok()?.get(..2)? {
                "$d" => true,
                "$t" | "$x" | "$a" => false,
                _ => return None,
            };
            Some((symbol.address(), is_data))
        });
        marks.collect()
    }

    /// Entries of an address, which is relocated, and a length in LEB128.
    fn frames(&mut self, section: &object::Section<'d, 'a>) -> Result<()> {
        let width = if self.file.is_64() { 8 } else { 4 };
        let relocations: BTreeMap<u64, object::Relocation> = section.relocations().collect();
        let bytes = section.data()?;
        let mut at = 0;
        while at < bytes.len() {
            let place = bytes.get(at..at + width).context("half an entry")?;
            let mut written = [0; 8];
            written[..width].copy_from_slice(place);
            let relocation = relocations.get(&(at as u64)).context("an entry of nothing")?;
            let function = self.target(relocation, i64::from_le_bytes(written))?;
            at += width;
            let (frame, used) = leb128(&bytes[at..])?;
            at += used;
            // What the linker dropped has no function.
            if let Some(function) = function {
                let known = &mut self.image.functions[function].frame;
                *known = Some(known.unwrap_or(0).max(frame));
            }
        }
        Ok(())
    }
}

fn leb128(bytes: &[u8]) -> Result<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, index + 1));
        }
    }
    bail!("a number without an end")
}

/// Whether a relocation is that of a branch, with or without a way back.
fn is_branch(architecture: Architecture, kind: u32) -> Result<bool> {
    use object::elf;
    let kinds: &[u32] = match architecture {
        Architecture::Arm => &[
            elf::R_ARM_THM_PC22,
            elf::R_ARM_THM_JUMP24,
            elf::R_ARM_THM_JUMP19,
            elf::R_ARM_THM_PC11,
        ],
        Architecture::Aarch64 => &[
            elf::R_AARCH64_CALL26,
            elf::R_AARCH64_JUMP26,
            elf::R_AARCH64_CONDBR19,
            elf::R_AARCH64_TSTBR14,
        ],
        other => bail!("nobody knows how {other:?} calls"),
    };
    Ok(kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_are_read() {
        assert_eq!(leb128(&[0x38]).unwrap(), (0x38, 1));
        assert_eq!(leb128(&[0xD8, 0x89, 0x01]).unwrap(), (0x44D8, 3));
        assert!(leb128(&[0x80]).is_err());
    }
}
