/// How a word falls into n-grams of characters, and these into buckets: exactly as in fastText.
///
/// Source: Bojanowski et al. 2017, "Enriching word vectors with subword information", and the format
/// of fastText's models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subwords {
    /// The fewest characters of an n-gram.
    pub shortest: usize,
    /// The most characters of an n-gram; zero for no n-grams.
    pub longest: usize,
    /// How many rows the n-grams share.
    pub buckets: usize,
}

impl Subwords {
    /// Returns the buckets of a word's n-grams, in order, repeated where n-grams share one; `word` is
    /// UTF-8, or whatever bytes a model was trained on.
    pub fn buckets_of(&self, word: &[u8]) -> Vec<u32> {
        if self.buckets == 0 || self.longest == 0 {
            return Vec::new();
        }
        let mut marked = Vec::with_capacity(word.len() + 2);
        marked.push(b'<');
        marked.extend_from_slice(word);
        marked.push(b'>');
        let mut found = Vec::new();
        let starts_character = |byte: u8| byte & 0xc0 != 0x80;
        for start in 0..marked.len() {
            if !starts_character(marked[start]) {
                continue;
            }
            let mut hash = 0x811c_9dc5u32;
            let mut end = start;
            for characters in 1..=self.longest {
                if end == marked.len() {
                    break;
                }
                loop {
                    hash = step(hash, marked[end]);
                    end += 1;
                    if end == marked.len() || starts_character(marked[end]) {
                        break;
                    }
                }
                let is_mark = characters == 1 && (start == 0 || end == marked.len());
                if characters >= self.shortest && !is_mark {
                    found.push(self.bucket(hash));
                }
            }
        }
        found
    }

    fn bucket(&self, hash: u32) -> u32 {
        u32::try_from(hash as usize % self.buckets).expect("the rest of a u32 is one")
    }
}

/// FNV-1a over a byte that was a signed `char` where fastText grew up.
#[inline]
fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ i32::from(byte.cast_signed()).cast_unsigned()).wrapping_mul(16_777_619)
}
