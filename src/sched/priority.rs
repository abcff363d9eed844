//! QNN priorities and the HTP thread priorities they stand for.

use crate::device::ThreadPriority;
use crate::limits::PRIORITY_LEVELS;

/// Priority of a graph. The discriminant is the level, most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Priority {
    /// `QNN_PRIORITY_HIGH` (200). Reserved for privileged clients.
    High = 0,
    /// `QNN_PRIORITY_NORMAL_HIGH` (150). Reserved for privileged clients.
    NormalHigh = 1,
    /// `QNN_PRIORITY_NORMAL` and `QNN_PRIORITY_DEFAULT` (100).
    Normal = 2,
    /// `QNN_PRIORITY_LOW` (0).
    Low = 3,
}

/// The table of the documents: QNN number, matrix and vector thread priority (PRIO-001 to
/// PRIO-006).
const TABLE: [(Priority, u32, ThreadPriority); PRIORITY_LEVELS] = [
    (Priority::High, 200, ThreadPriority { hmx: 0xBB, hvx: 0xBC }),
    (Priority::NormalHigh, 150, ThreadPriority { hmx: 0xBD, hvx: 0xBE }),
    (Priority::Normal, 100, ThreadPriority { hmx: 0xC0, hvx: 0xC1 }),
    (Priority::Low, 0, ThreadPriority { hmx: 0xC5, hvx: 0xC6 }),
];

impl Priority {
    /// Without configuration (PRIO-008).
    pub const DEFAULT: Priority = Priority::Normal;
    /// All levels, most important first.
    pub const ALL: [Priority; PRIORITY_LEVELS] =
        [Priority::High, Priority::NormalHigh, Priority::Normal, Priority::Low];

    /// The priority with this QNN number; `None` for numbers that the API has no name for. Named
    /// ones without thread priorities of their own count as the next less important level that has
    /// some (C-90).
    pub fn from_qnn(number: u32) -> Option<Priority> {
        const NORMAL_LOW: u32 = 50;
        const HIGH_PLUS: u32 = 300;
        const CRITICAL: u32 = 400;
        const CRITICAL_PLUS: u32 = 500;
        match number {
            NORMAL_LOW => Some(Priority::Low),
            HIGH_PLUS | CRITICAL | CRITICAL_PLUS => Some(Priority::High),
            _ => TABLE.iter().find(|(_, qnn, _)| *qnn == number).map(|(priority, ..)| *priority),
        }
    }

    /// The QNN number.
    pub const fn qnn(self) -> u32 {
        match self {
            Priority::High => TABLE[0].1,
            Priority::NormalHigh => TABLE[1].1,
            Priority::Normal => TABLE[2].1,
            Priority::Low => TABLE[3].1,
        }
    }

    /// The HTP thread priorities.
    pub const fn threads(self) -> ThreadPriority {
        match self {
            Priority::High => TABLE[0].2,
            Priority::NormalHigh => TABLE[1].2,
            Priority::Normal => TABLE[2].2,
            Priority::Low => TABLE[3].2,
        }
    }

    /// What an unprivileged client gets when it asks for this (C-29): never more than `Normal`.
    pub fn for_unprivileged(self) -> Priority {
        self.max(Priority::Normal)
    }

    /// Index of the level, 0 the most important.
    pub const fn level(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // REQ: PRIO-001, PRIO-002, PRIO-003, PRIO-004, PRIO-005, PRIO-006, PRIO-008
    #[test]
    fn thread_priorities_are_those_of_the_documents() {
        let expected = [(0, 0xC5, 0xC6), (100, 0xC0, 0xC1), (150, 0xBD, 0xBE), (200, 0xBB, 0xBC)];
        for (qnn, hmx, hvx) in expected {
            let priority = Priority::from_qnn(qnn).unwrap();
            assert_eq!(priority.threads(), ThreadPriority { hmx, hvx });
            assert_eq!(priority.qnn(), qnn);
            assert_eq!(priority.threads().hvx, priority.threads().hmx + 1);
        }
        assert!(Priority::ALL.windows(2).all(|pair| pair[0].threads().hmx < pair[1].threads().hmx));
        assert_eq!(Priority::DEFAULT.qnn(), 100);
    }

    // REQ: PRIO-010
    #[test]
    fn reserved_priorities_become_normal_for_the_unprivileged() {
        let got: std::vec::Vec<_> =
            Priority::ALL.iter().map(|p| p.for_unprivileged().qnn()).collect();
        assert_eq!(got, [100, 100, 100, 0]);
    }

    #[test]
    fn numbers_without_a_name_are_no_priorities() {
        for number in [1, 49, 51, 77, 99, 101, 250, 350, 499, 501, 600, u32::MAX] {
            assert_eq!(Priority::from_qnn(number), None);
        }
    }

    #[test]
    fn named_priorities_without_threads_of_their_own_are_the_next_lower_level() {
        assert_eq!(Priority::from_qnn(50), Some(Priority::Low));
        for number in [300, 400, 500] {
            assert_eq!(Priority::from_qnn(number), Some(Priority::High));
        }
    }
}
