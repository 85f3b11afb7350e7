//! Tables, records and randomness that the tests share.

use std::path::Path;

use simile_storage::{Database, Options, Record, Table};

/// Records whose size and content follow from a number, so that a wrong one is noticed.
#[derive(Debug, Clone, PartialEq, bincode::Encode, bincode::Decode)]
pub(crate) struct Text(pub(crate) String);

impl Record for Text {
    const FORMAT: u16 = 1;
}

/// A record that knows which write made it.
#[derive(Debug, Clone, PartialEq, bincode::Encode, bincode::Decode)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    pub(crate) filling: Vec<u8>,
}

impl Record for Numbered {
    const FORMAT: u16 = 1;
}

impl Numbered {
    pub(crate) fn new(number: u64, size: usize) -> Self {
        let mut random = Random(number);
        Self { number, filling: (0..size).map(|_| random.next().to_le_bytes()[0]).collect() }
    }

    /// Whether it is as [`Numbered::new`] made it.
    pub(crate) fn is_intact(&self) -> bool {
        *self == Self::new(self.number, self.filling.len())
    }
}

pub(crate) const TEXTS: Table<(u32, String), Text> = Table::new(1, "texts");
pub(crate) const NUMBERS: Table<u64, Numbered> = Table::new(2, "numbers");

/// A generator with a fixed seed (splitmix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

pub(crate) fn open(folder: &Path) -> Database {
    Database::open(folder, &Options::default()).unwrap()
}
