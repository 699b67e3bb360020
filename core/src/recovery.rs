//! The recovery kit: the mesh key in three forms that people can keep, and back from each of them.
//!
//! | form | for | what is forgiven when it is read |
//! |---|---|---|
//! | [`text`](RecoveryKit::text) | a printed page, a password manager | white space and line breaks, anywhere |
//! | [`qr`](RecoveryKit::qr) | the content of a QR code | white space |
//! | [`words`](RecoveryKit::words) | paper, by hand: 24 words (BIP-39, English), with a checksum | case, numbers, punctuation, line breaks; four letters of a word are enough |
//!
//! Whoever has one of them reads the whole mesh. A person who is shown the words for the first time should prove
//! that they were written down: [`RecoveryKit::quiz`] asks for some of them.

use std::fmt;

use bip39::{Language, Mnemonic};
use interocitor_crypto::{Key, Passphrase, fragment_url, key_from_fragment};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    error::{Error, Result},
    host::Host,
};

/// Words of a kit: 256 bits and a checksum of 8.
pub const WORDS: usize = 24;

/// What the content of the QR code begins with.
const QR_BASE: &str = "interocitor:recovery";

/// The label before the passphrase in the text.
const LABEL: &str = "Passphrase:";

/// The letters that tell a word from all others.
const PREFIX: usize = 4;

/// A mesh key for safekeeping. Never printed by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryKit {
    key: Key,
    mesh_id: Option<String>,
}

impl RecoveryKit {
    /// The kit of a key, and of its mesh where that is known.
    pub fn new(key: Key, mesh_id: Option<String>) -> Self {
        Self { key, mesh_id }
    }

    /// The passphrase.
    pub fn passphrase(&self) -> Passphrase {
        self.key.to_passphrase()
    }

    /// A page to print or to keep: what this is, the mesh, the passphrase and the words. **Secret.**
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = String::with_capacity(1024);
        text.push_str("Interocitor recovery kit\n");
        if let Some(mesh_id) = &self.mesh_id {
            text.extend(["Mesh: ", mesh_id, "\n"]);
        }
        text.push_str("Whoever has this reads everything. Keep it where nobody else looks.\n\n");
        text.extend([LABEL, " ", self.passphrase().expose(), "\n\nThe same key as 24 words:\n"]);
        for (at, word) in self.words().iter().enumerate() {
            let end = if at % 6 == 5 { "\n" } else { "  " };
            text.extend([&format!("{}. ", at + 1), *word, end]);
        }
        Zeroizing::new(text)
    }

    /// What a QR code of the kit holds: a URL with the key in its fragment, as the JavaScript client writes it.
    /// **Secret.**
    pub fn qr(&self) -> Zeroizing<String> {
        fragment_url(QR_BASE, &self.key)
    }

    /// The 24 words. **Secret.**
    pub fn words(&self) -> Vec<&'static str> {
        Mnemonic::from_entropy_in(Language::English, self.key.as_bytes())
            .map(|words| words.words().collect())
            // 32 bytes always have words.
            .unwrap_or_default()
    }

    /// Reads a kit in any of its forms, alone or within other text such as a whole page; a bare passphrase, too.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT`, with what is wrong and where: never with what was read.
    pub fn parse(text: &str) -> Result<Self> {
        let compact: Zeroizing<String> = Zeroizing::new(text.split_whitespace().collect());
        let kit = |key| Ok(Self::new(key, None));
        if let Ok(key) = key_from_fragment(&compact) {
            return kit(key);
        }
        if let Some((_, rest)) = text.split_once(LABEL)
            && let Some(key) = key_at_start_of(rest)
        {
            return kit(key);
        }
        if let Ok(key) = Passphrase::from(compact.as_str()).to_key() {
            return kit(key);
        }
        let words: Vec<&str> =
            text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        kit(key_of(&words)?)
    }

    /// Draws `count` of the words' numbers (1 to 24, ascending) to ask for. At least one, at most all.
    pub fn quiz(&self, host: &dyn Host, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (1..=WORDS).collect();
        let count = count.clamp(1, WORDS);
        for at in 0..count {
            let mut random = [0; 8];
            host.random(&mut random);
            let left = WORDS - at;
            // 2^64 is so much larger than 24 that no number is favoured.
            let step = usize::try_from(u64::from_le_bytes(random) % left as u64).unwrap_or_default();
            numbers.swap(at, at + step);
        }
        numbers.truncate(count);
        numbers.sort_unstable();
        numbers
    }

    /// Checks an answer to [`quiz`](Self::quiz): the word with this number, in any case.
    pub fn is_word(&self, number: usize, answer: &str) -> bool {
        let wanted = number.checked_sub(1).and_then(|at| self.words().get(at).copied());
        wanted.is_some_and(|wanted| word_of(answer.trim()).is_some_and(|word| word == wanted))
    }
}

impl fmt::Debug for RecoveryKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryKit").field("mesh_id", &self.mesh_id).finish_non_exhaustive()
    }
}

/// A passphrase that was wrapped by a printer or a mail program goes on in the next line.
fn key_at_start_of(text: &str) -> Option<Key> {
    let mut joined = Zeroizing::new(String::new());
    text.split_whitespace().take(8).find_map(|piece| {
        joined.push_str(piece);
        Passphrase::from(joined.as_str()).to_key().ok()
    })
}

/// The key of 24 words in a row.
fn key_of(tokens: &[&str]) -> Result<Key> {
    // Text around the words is passed over; it may hold words of the list itself, so every start is tried.
    let known: Vec<Option<&'static str>> = tokens.iter().map(|token| word_of(token)).collect();
    let runs = || known.windows(WORDS).filter_map(|run| run.iter().copied().collect::<Option<Vec<_>>>());
    let key = runs().find_map(|run| {
        let words = Zeroizing::new(run.join(" "));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words).ok()?;
        let (mut entropy, length) = mnemonic.to_entropy_array();
        let bytes: Option<[u8; 32]> = entropy.get(..length).and_then(|bytes| bytes.try_into().ok());
        entropy.zeroize();
        bytes.map(Key::from_bytes)
    });
    if let Some(key) = key {
        return Ok(key);
    }
    if runs().next().is_some() {
        return Err(refused("the words do not belong together: one of them is another, or their order is"));
    }
    let count = known.iter().flatten().count();
    Err(refused(match known.iter().position(Option::is_none) {
        _ if count < WORDS / 2 => "this is neither a recovery text, nor a recovery code, nor 24 words".into(),
        Some(at) if tokens.len() == WORDS => format!("word {} is not one of the list", at + 1),
        _ => format!("there are {count} words, and it takes {WORDS}"),
    }))
}

/// The word of the list that is meant.
fn word_of(token: &str) -> Option<&'static str> {
    let token = Zeroizing::new(token.to_lowercase());
    let list = Language::English.word_list();
    if let Some(word) = list.iter().find(|word| **word == token.as_str()) {
        return Some(word);
    }
    // Words are told apart by their first four letters.
    let mut candidates =
        list.iter().filter(|word| token.chars().count() >= PREFIX && word.starts_with(token.as_str()));
    candidates.next().filter(|_| candidates.next().is_none()).copied()
}

fn refused(reason: impl Into<String>) -> Error {
    Error::invalid("recovery kit", reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::TokioHost;

    fn kit(seed: u8) -> RecoveryKit {
        let bytes = std::array::from_fn(|at| seed.wrapping_add(u8::try_from(at).unwrap()));
        RecoveryKit::new(Key::from_bytes(bytes), Some("mesh_1".into()))
    }

    fn read(text: &str) -> Key {
        RecoveryKit::parse(text).unwrap().key
    }

    /// BIP-39's own vectors of 256 bits.
    #[test]
    fn the_words_are_those_of_bip_39() {
        let words = |byte: u8| RecoveryKit::new(Key::from_bytes([byte; 32]), None).words().join(" ");
        assert_eq!(words(0), format!("{}art", "abandon ".repeat(23)));
        assert_eq!(words(0xff), format!("{}vote", "zoo ".repeat(23)));
        let legal = format!(
            "{}legal winner thank year wave sausage worth title",
            "legal winner thank year wave sausage worth useful ".repeat(2)
        );
        assert_eq!(words(0x7f), legal);
    }

    #[test]
    fn the_code_is_a_url_with_the_key_in_its_fragment() {
        assert_eq!(*kit(0).qr(), "interocitor:recovery#key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert_eq!(read("https://app.example/#key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), kit(0).key);
    }

    #[test]
    fn every_form_comes_back_however_it_was_copied() {
        for seed in [0, 1, 77, 200] {
            let kit = kit(seed);
            let words = kit.words();
            let numbered: Vec<String> = words
                .iter()
                .enumerate()
                .map(|(at, word)| format!("{:>2}) {}\r\n", at + 1, word.to_uppercase()))
                .collect();
            let short: Vec<String> = words.iter().map(|word| word.chars().take(4).collect()).collect();
            let wrapped: String = kit.qr().chars().flat_map(|c| [c, '\n']).collect();
            let page = kit.text();
            let passphrase = kit.passphrase();
            let (head, tail) = passphrase.expose().split_at(17);
            let mailed = page.replace(passphrase.expose(), &format!("{head}\r\n  {tail}"));
            let without = page.replace(LABEL, "");
            for text in [
                &**page,
                &mailed,
                &without,
                &**kit.qr(),
                &wrapped,
                passphrase.expose(),
                &format!("  {head} {tail}\n"),
                &words.join(" "),
                &words.join("\n"),
                &words.join(", "),
                &numbered.concat(),
                &short.join(" "),
                &format!("My words: {}", words.join("-")),
            ] {
                assert_eq!(read(text), kit.key, "{text}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_and_not_shown() {
        let words = kit(1).words();
        let changed = |at: usize, word: &'static str| {
            let mut words = words.clone();
            words[at] = word;
            words.join(" ")
        };
        let mut swapped = words.clone();
        swapped.swap(3, 4);
        for (text, wanted) in [
            (String::new(), "neither"),
            ("hunter2".into(), "neither"),
            (words[..23].join(" "), "there are 23 words"),
            (changed(4, "secretword"), "word 5 is not"),
            (changed(4, "zoo"), "do not belong together"),
            (swapped.join(" "), "do not belong together"),
            ("#key=AAEC".into(), "neither"),
            (kit(1).passphrase().expose()[1..].to_owned(), "neither"),
        ] {
            let error = RecoveryKit::parse(&text).unwrap_err();
            assert_eq!(error.code().as_str(), "INVALID_ARGUMENT");
            let told = format!("{error} {error:?}");
            assert!(told.contains(wanted), "{told} for {text}");
            for secret in ["secretword", "hunter2", "AAEC", &words[..2].join(" "), &words[9..11].join(" ")] {
                assert!(!told.contains(secret), "{secret} in {told}");
            }
        }
        let kit = kit(1);
        let debug = format!("{kit:?}");
        assert!(debug.contains("mesh_1") && !debug.contains(kit.passphrase().expose()), "{debug}");
    }

    #[test]
    fn a_quiz_asks_for_different_words_and_knows_them() {
        let kit = kit(9);
        let words = kit.words();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let numbers = kit.quiz(&TokioHost, 3);
            assert!(numbers.len() == 3 && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
            for number in numbers {
                seen.insert(number);
                assert!(kit.is_word(number, words[number - 1]));
                assert!(kit.is_word(number, &format!(" {}\n", words[number - 1].to_uppercase())));
                assert!(!kit.is_word(number, words[number % WORDS]));
            }
        }
        assert_eq!(seen.len(), WORDS, "all are asked for");
        assert_eq!(kit.quiz(&TokioHost, 99), (1..=WORDS).collect::<Vec<_>>());
        assert_eq!(kit.quiz(&TokioHost, 0).len(), 1);
        for (number, answer) in [(0, words[0]), (25, words[0]), (1, ""), (1, "nonsense")] {
            assert!(!kit.is_word(number, answer));
        }
    }

    #[test]
    fn four_letters_tell_every_word() {
        for word in Language::English.word_list() {
            assert_eq!(word_of(word), Some(*word));
            let short: String = word.chars().take(PREFIX).collect();
            assert_eq!(word_of(&short), Some(*word));
        }
        assert_eq!(word_of("aban"), Some("abandon"));
        assert_eq!(word_of("aba"), None);
    }

    proptest! {
        #[test]
        fn any_key_comes_back(bytes: [u8; 32]) {
            let kit = RecoveryKit::new(Key::from_bytes(bytes), None);
            prop_assert_eq!(&read(&kit.text()), &kit.key);
            prop_assert_eq!(&read(&kit.qr()), &kit.key);
            prop_assert_eq!(&read(&kit.words().join(" ")), &kit.key);
            prop_assert_eq!(&read(kit.passphrase().expose()), &kit.key);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = RecoveryKit::parse(&text);
        }
    }
}
