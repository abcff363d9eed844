//! The configuration list of contexts, read and checked once for all calls that take it.
//!
//! Of several entries with one option the last counts: values of the others are not looked at
//! (C-119). An option that the call does not take is refused wherever it stands.

use runtime::binary::{ContextBinary, GRAPHS_MAX};
use runtime::limits::QUEUE_DEPTH_MAX;
use runtime::runtime::ContextConfig;
use runtime::sched::Priority;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::Code;
use crate::export::htp_context_config::Custom;
use crate::refusal::{because, no_list, no_text, null, within, Name};

const BAD: Code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;
const BAD_CONFIG: Code = QNN_CONTEXT_ERROR_INVALID_CONFIG;

/// Which call the list is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    CreateFromBinary,
    Set,
}

/// What a list says.
pub(crate) struct Config<'a> {
    pub(crate) context: ContextConfig,
    /// The list names a priority.
    pub(crate) has_priority: bool,
    /// The list names a queue depth.
    pub(crate) has_depth: bool,
    /// The binary stays where it is for the life of the context.
    pub(crate) persistent: bool,
    /// The list says whether graphs are only prepared.
    pub(crate) has_prepare_only: bool,
    enabled: Option<Names<'a>>,
}

/// Number of options, which are counted from 0.
const OPTIONS: usize = QNN_CONTEXT_CONFIG_GRAPH_RETENTION_ORDER as usize + 1;

impl<'a> Config<'a> {
    /// Reads a list.
    ///
    /// # Safety
    /// As the QNN API says of configuration lists.
    pub(crate) unsafe fn read(
        list: *mut *const QnnContext_Config_t,
        call: Call,
    ) -> Result<Self, Code> {
        // SAFETY: the caller's promise.
        unsafe { Self::read_lists("config", &[list], call) }
    }

    /// Reads lists as if they were one. `name` is the argument, for messages.
    ///
    /// # Safety
    /// As the QNN API says of configuration lists.
    pub(crate) unsafe fn read_lists(
        name: &'static str,
        lists: &[*mut *const QnnContext_Config_t],
        call: Call,
    ) -> Result<Self, Code> {
        let mut last: Last<'_> = [None; OPTIONS];
        let mut custom = Custom::NOTHING;
        for list in lists {
            // SAFETY: the caller's promise.
            let configs = unsafe { Configs::read(*list) }.map_err(no_list(BAD, name))?;
            for (at, config) in configs.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { take((at, config), call, &mut last, &mut custom) }
                    .map_err(|code| in_entry(name, at, code))?;
            }
        }
        let mut read = Self {
            context: ContextConfig::default(),
            has_priority: false,
            has_depth: false,
            persistent: false,
            has_prepare_only: false,
            enabled: None,
        };
        for (at, config) in last.into_iter().flatten() {
            // SAFETY: the caller's promise.
            unsafe { read.apply(config, call) }.map_err(|code| in_entry(name, at, code))?;
        }
        let prepare_only = custom.check(name)?;
        read.has_prepare_only = prepare_only.is_some();
        read.context.prepare_only = prepare_only.unwrap_or(false);
        Ok(read)
    }

    /// # Safety
    /// What the entry points to is readable.
    unsafe fn apply(&mut self, config: &QnnContext_Config_t, call: Call) -> Result<(), Code> {
        match config.option {
            QNN_CONTEXT_CONFIG_OPTION_PRIORITY => {
                // SAFETY: the option selects this member; every bit pattern is a number.
                let number = unsafe { config.u.priority };
                let why = ", which is no QNN_PRIORITY";
                self.context.priority = Priority::from_qnn(number)
                    .ok_or_else(|| because!(BAD_CONFIG, "priority is ", number, why))?;
                self.has_priority = true;
            }
            QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH => {
                self.has_depth = true;
                // The depth of a living context is not touched, whatever is asked for (C-07).
                if call != Call::Set {
                    // SAFETY: the option selects this member, which has one form.
                    let depth = unsafe { config.u.asyncExeQueueDepth };
                    // SAFETY: as above.
                    self.context.queue_depth = queue_depth(depth.type_, unsafe { depth.u.depth })?;
                }
            }
            QNN_CONTEXT_CONFIG_ENABLE_GRAPHS => {
                // SAFETY: the option selects this member, a list of names or null.
                self.enabled = unsafe { Names::read(config.u.enableGraphs) }?;
            }
            QNN_CONTEXT_CONFIG_PERSISTENT_BINARY => {
                // SAFETY: the option selects this member, a byte.
                self.persistent = unsafe { config.u.isPersistentBinary } != 0;
            }
            QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY => {
                // Binaries run optimally or not at all, so both types mean the same (BIN-003).
                // SAFETY: the option selects this member, a number.
                let compatibility = unsafe { config.u.binaryCompatibilityType };
                if compatibility > QNN_CONTEXT_BINARY_COMPATIBILITY_STRICT {
                    let why = ", there are 0 and 1";
                    let field = "binaryCompatibilityType is ";
                    return Err(because!(BAD_CONFIG, field, compatibility, why));
                }
            }
            // Error reporting changes nothing; without a memory limit neither does a retention
            // order (SWITCH-022).
            _ => {}
        }
        Ok(())
    }

    /// What the list says for the graphs of this binary. A name that no graph has is refused
    /// (SWITCH-011).
    pub(crate) fn for_binary(&self, binary: &ContextBinary<'_>) -> Result<ContextConfig, Code> {
        let mut context = self.context;
        if let Some(names) = &self.enabled {
            context.enabled_graphs = 0;
            for name in names.iter() {
                let index = binary.graphs().position(|graph| graph.name == name);
                let unknown = || {
                    let why = ", no graph of the binary is called so";
                    because!(BAD_CONFIG, "config names ", Name(name), " in enableGraphs", why)
                };
                context.enabled_graphs |= 1 << index.ok_or_else(unknown)?;
            }
        }
        Ok(context)
    }
}

/// What is wrong with an entry, told with its place in the list.
fn in_entry(name: &'static str, at: usize, code: Code) -> Code {
    within!(code, name, "[", at, "]->")
}

/// The last entry of each option that is no HTP option.
type Last<'a> = [Option<(usize, &'a QnnContext_Config_t)>; OPTIONS];

/// Takes an entry in, without looking at its value.
///
/// # Safety
/// As the QNN API says of an HTP option.
unsafe fn take<'a>(
    (at, config): (usize, &'a QnnContext_Config_t),
    call: Call,
    last: &mut Last<'a>,
    custom: &mut Custom<'a>,
) -> Result<(), Code> {
    if config.option == QNN_CONTEXT_CONFIG_OPTION_CUSTOM {
        // SAFETY: the option selects this member, which points to an HTP option or is null.
        let option = unsafe { config.u.customConfig };
        // SAFETY: the caller's promise.
        let option = unsafe { client::one(option.cast::<QnnHtpContext_CustomConfig_t>()) };
        return custom.take(at, option.ok_or_else(null(BAD, "customConfig"))?);
    }
    let place = usize::try_from(config.option).ok().and_then(|at| last.get_mut(at));
    let place = place.filter(|_| call.takes(config.option)).ok_or_else(|| {
        let why = ", which is not for this call";
        because!(QNN_CONTEXT_ERROR_UNSUPPORTED_FEATURE, "option is ", config.option, why)
    })?;
    *place = Some((at, config));
    Ok(())
}

impl Call {
    /// Whether the call takes an option.
    fn takes(self, option: QnnContext_ConfigOption_t) -> bool {
        match option {
            QNN_CONTEXT_CONFIG_OPTION_PRIORITY
            | QNN_CONTEXT_CONFIG_OPTION_ERROR_REPORTING
            | QNN_CONTEXT_CONFIG_ASYNC_EXECUTION_QUEUE_DEPTH
            | QNN_CONTEXT_CONFIG_GRAPH_RETENTION_ORDER => true,
            QNN_CONTEXT_CONFIG_ENABLE_GRAPHS
            | QNN_CONTEXT_CONFIG_PERSISTENT_BINARY
            | QNN_CONTEXT_CONFIG_BINARY_COMPATIBILITY => self == Call::CreateFromBinary,
            _ => false,
        }
    }
}

fn queue_depth(kind: QnnContext_AsyncExecutionQueueDepthType_t, depth: u32) -> Result<u32, Code> {
    let numeric = kind == QNN_CONTEXT_ASYNC_EXECUTION_QUEUE_DEPTH_TYPE_NUMERIC;
    // C-06: 0 and everything above the limit are refused.
    if !numeric {
        let why = ", there is only 0 (NUMERIC)";
        return Err(because!(BAD_CONFIG, "asyncExeQueueDepth.type is ", kind, why));
    }
    if !(1..=QUEUE_DEPTH_MAX.into()).contains(&depth) {
        let most = u32::from(QUEUE_DEPTH_MAX);
        return Err(because!(
            BAD_CONFIG,
            "asyncExeQueueDepth.depth is ",
            depth,
            ", not 1 to ",
            most
        ));
    }
    Ok(depth)
}

/// Names of graphs: a list ended by null.
struct Names<'a> {
    names: heapless::Vec<&'a str, GRAPHS_MAX>,
}

impl<'a> Names<'a> {
    /// Reads a list; nothing if it is null or empty, which enables every graph.
    ///
    /// # Safety
    /// `list` is null or points to strings, ended by null, that stay as they are for `'a`.
    unsafe fn read(list: *const *const core::ffi::c_char) -> Result<Option<Self>, Code> {
        let mut names = heapless::Vec::new();
        if list.is_null() {
            return Ok(None);
        }
        if !list.is_aligned() {
            return Err(because!(BAD, "enableGraphs is not aligned"));
        }
        loop {
            // SAFETY: every pointer up to the end is readable, and none behind it is read.
            let name = unsafe { list.wrapping_add(names.len()).read() };
            if name.is_null() {
                return Ok((!names.is_empty()).then_some(Self { names }));
            }
            // SAFETY: the caller's promise.
            let name = unsafe { client::text(name) }
                .map_err(no_text(BAD_CONFIG, "enableGraphs has a name that"))?;
            names.push(name).map_err(|_| {
                because!(BAD_CONFIG, "enableGraphs has more names than a binary has graphs")
            })?;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.names.iter().copied()
    }
}
