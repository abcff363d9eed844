//! The facts the QNN declarations are made from, as they stand in `ffi/abi-facts/`.
//!
//! One JSON file per QNN header: names, numbers, sizes, offsets and the order of declarations,
//! with a sentence of our own about each type. Everything else (Rust declarations, C headers,
//! layout assertions) is generated from here, so that the three cannot disagree.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One QNN header.
#[derive(Deserialize)]
pub(crate) struct Header {
    /// Path below the include directory, as clients write it.
    pub(crate) header: String,
    pub(crate) doc: String,
    pub(crate) includes: Vec<String>,
    /// Preprocessor lines that are no plain constants.
    pub(crate) macros: Vec<String>,
    pub(crate) constants: Vec<Constant>,
    /// In an order in which every type is declared before it is used.
    pub(crate) types: Vec<Type>,
    pub(crate) initializers: Vec<Initializer>,
    pub(crate) functions: Vec<Function>,
}

/// A preprocessor constant.
#[derive(Deserialize)]
pub(crate) struct Constant {
    pub(crate) name: String,
    /// C type it is used as; absent for strings.
    #[serde(rename = "type")]
    pub(crate) ty: Option<String>,
    pub(crate) value: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
}

/// A type declaration.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Type {
    /// The name of a struct that is defined further down.
    Forward {
        name: String,
    },
    /// A pointer to a struct that only a backend can define.
    OpaquePointer {
        name: String,
        tag: String,
        doc: String,
    },
    /// A struct that only a backend can define.
    Opaque {
        name: String,
        tag: String,
        doc: String,
    },
    Alias {
        name: String,
        doc: String,
        #[serde(rename = "type")]
        ty: String,
    },
    Enum {
        name: String,
        doc: String,
        /// Values are error codes, which travel as `Qnn_ErrorHandle_t`.
        #[serde(default)]
        error: bool,
        values: Vec<(String, i64)>,
    },
    Function {
        name: String,
        doc: String,
        returns: String,
        args: Vec<(String, String)>,
    },
    Struct(Struct),
}

impl Type {
    pub(crate) fn name(&self) -> &str {
        match self {
            Type::Forward { name }
            | Type::OpaquePointer { name, .. }
            | Type::Opaque { name, .. }
            | Type::Alias { name, .. }
            | Type::Enum { name, .. }
            | Type::Function { name, .. } => name,
            Type::Struct(structure) => &structure.name,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) fields: Vec<Member>,
    /// C tag, where it differs from the name: the struct completes an opaque one.
    pub(crate) tag: Option<String>,
    /// Declared by a [`Type::Forward`] before.
    #[serde(default)]
    pub(crate) forward: bool,
}

/// A field, or the anonymous union of a struct (no struct has more than one).
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Member {
    Union {
        offset: usize,
        size: usize,
        /// Name, type, size.
        union: Vec<(String, String, usize)>,
    },
    /// Name, type, offset, size.
    Field(String, String, usize, usize),
}

/// A `..._INIT` macro: the bytes of the initialised object, zeros at the end left out.
#[derive(Deserialize)]
pub(crate) struct Initializer {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: String,
    pub(crate) bytes: String,
}

impl Initializer {
    /// The object's bytes, filled up with zeros to `size`.
    pub(crate) fn image(&self, size: usize) -> Result<Vec<u8>> {
        let digits = self.bytes.as_bytes();
        let mut bytes = digits
            .chunks(2)
            .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
            .collect::<Result<Vec<u8>>>()
            .with_context(|| format!("bytes of {}", self.name))?;
        anyhow::ensure!(bytes.len() <= size, "{} is longer than its type", self.name);
        bytes.resize(size, 0);
        Ok(bytes)
    }
}

/// A function a library exports.
#[derive(Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) returns: String,
    pub(crate) args: Vec<(String, String)>,
}

/// All headers, by path.
pub(crate) struct Facts {
    pub(crate) headers: BTreeMap<String, Header>,
}

impl Facts {
    pub(crate) fn load(root: &Path) -> Result<Facts> {
        let directory = root.join("ffi/abi-facts");
        let mut headers = BTreeMap::new();
        for entry in
            std::fs::read_dir(&directory).with_context(|| directory.display().to_string())?
        {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = std::fs::read_to_string(&path)?;
            let header: Header =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            headers.insert(header.header.clone(), header);
        }
        Ok(Facts { headers })
    }

    pub(crate) fn types(&self) -> impl Iterator<Item = &Type> {
        self.headers.values().flat_map(|header| &header.types)
    }

    pub(crate) fn structs(&self) -> impl Iterator<Item = &Struct> {
        self.types().filter_map(|ty| match ty {
            Type::Struct(structure) => Some(structure),
            _ => None,
        })
    }

    pub(crate) fn structure(&self, name: &str) -> Option<&Struct> {
        self.structs().find(|structure| structure.name == name)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Type> {
        self.types().find(|ty| ty.name() == name && !matches!(ty, Type::Forward { .. }))
    }
}

/// A C type as written in the facts, taken apart: `const char* const*`, `uint32_t[3]`.
pub(crate) struct CType<'a> {
    pub(crate) base: &'a str,
    /// For each `*`, whether what it points to is const.
    pub(crate) pointers: Vec<bool>,
    pub(crate) array: Option<usize>,
}

impl<'a> CType<'a> {
    pub(crate) fn parse(text: &'a str) -> CType<'a> {
        let (text, array) = match text.split_once('[') {
            Some((element, length)) => (element, length.trim_end_matches(']').parse().ok()),
            None => (text, None),
        };
        let mut levels = text.split('*');
        let first = levels.next().unwrap_or(text).trim();
        let (mut constant, base) = match first.strip_prefix("const ") {
            Some(base) => (true, base),
            None => (false, first),
        };
        let mut pointers = Vec::new();
        for level in levels {
            pointers.push(constant);
            constant = level.trim() == "const";
        }
        CType { base: base.trim(), pointers, array }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_keep_what_is_const() {
        let names = CType::parse("const char* const*");
        assert_eq!((names.base, names.pointers.as_slice()), ("char", &[true, true][..]));
        let list = CType::parse("const QnnContext_Config_t**");
        assert_eq!(
            (list.base, list.pointers.as_slice()),
            ("QnnContext_Config_t", &[true, false][..])
        );
        let words = CType::parse("uint32_t[3]");
        assert_eq!((words.base, words.pointers.len(), words.array), ("uint32_t", 0, Some(3)));
    }

    #[test]
    fn initialisers_are_filled_up_and_never_cut() {
        let initializer =
            Initializer { name: "X_INIT".into(), ty: "X_t".into(), bytes: "ff00a1".into() };
        assert_eq!(initializer.image(5).unwrap(), [0xff, 0, 0xa1, 0, 0]);
        assert!(initializer.image(2).is_err());
    }

    /// Gaps in a struct are padding; a field that overlaps another one would be a wrong fact.
    #[test]
    fn members_neither_overlap_nor_leave_their_struct() {
        let facts = Facts::load(&crate::abi::root()).unwrap();
        for structure in facts.structs() {
            let mut end = 0;
            for member in &structure.fields {
                let (offset, size) = match member {
                    Member::Field(_, _, offset, size) => (*offset, *size),
                    Member::Union { offset, size, union } => {
                        assert!(union.iter().all(|(_, _, own)| own <= size), "{}", structure.name);
                        (*offset, *size)
                    }
                };
                assert!(offset >= end, "{}", structure.name);
                end = offset + size;
            }
            assert!(end <= structure.size, "{}", structure.name);
        }
    }
}
