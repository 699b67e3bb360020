//! What the apps of two devices can do, and insist on, in a pairing.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most ids in one list.
const IDS: usize = 32;

/// Longest id, in UTF-16 code units as the JavaScript client counts.
const ID_UNITS: usize = 128;

/// Features by ids that apps agree upon, such as `notes:v2`. If one side requires one, both must support it, and
/// the credential is bound to what both have said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    supported: Vec<String>,
    required: Vec<String>,
}

/// As it travels, by itself and within the transcript that binds the credential.
#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    supported: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    required: Option<Vec<String>>,
}

impl Capabilities {
    /// Features that are supported, and those of them that are required.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for more than 32 ids, for an id that is empty or longer than 128 characters, and for
    /// a required one that is not supported.
    pub fn new(supported: Vec<String>, required: Vec<String>) -> Result<Self> {
        let capabilities = Self::checked(supported, required)
            .ok_or(Error::invalid("capabilities", "at most 32 ids of 1 to 128 characters"))?;
        match capabilities.required.iter().find(|id| !capabilities.supported.contains(id)) {
            Some(id) => Err(Error::invalid("capabilities", format!("{id:?} is required but not supported"))),
            None => Ok(capabilities),
        }
    }

    /// Sorted as the JavaScript client sorts, and without duplicates.
    fn checked(mut supported: Vec<String>, mut required: Vec<String>) -> Option<Self> {
        for ids in [&mut supported, &mut required] {
            let is_sound = |id: &String| (1..=ID_UNITS).contains(&id.encode_utf16().count());
            if ids.len() > IDS || !ids.iter().all(is_sound) {
                return None;
            }
            ids.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            ids.dedup();
        }
        Some(Self { supported, required })
    }

    /// What came from the other device; `None` where it has another shape.
    pub(super) fn received(wire: Option<Wire>) -> Option<Self> {
        let Some(wire) = wire else { return Some(Self::default()) };
        Self::checked(wire.supported, wire.required.unwrap_or_default())
    }

    /// As a part of a payload or of the scanner's file: nothing where there is nothing to say.
    pub(super) fn to_wire(&self) -> Option<Wire> {
        let required = (!self.required.is_empty()).then(|| self.required.clone());
        (!self.supported.is_empty() || required.is_some())
            .then(|| Wire { supported: self.supported.clone(), required })
    }

    /// As a part of the transcript: both lists, always.
    pub(super) fn to_transcript(&self) -> Wire {
        Wire { supported: self.supported.clone(), required: Some(self.required.clone()) }
    }

    pub(super) fn requires_any(&self) -> bool {
        !self.required.is_empty()
    }

    /// Refuses a pairing in which one side requires what the other does not support.
    pub(super) fn check_with(&self, theirs: &Self) -> Result<()> {
        let lacks = |required: &[String], supported: &[String]| {
            required.iter().find(|id| !supported.contains(id)).cloned()
        };
        let lacking_here = lacks(&theirs.required, &self.supported);
        let lacking_there =
            lacks(&self.required, &theirs.supported).or_else(|| lacks(&theirs.required, &theirs.supported));
        match (lacking_here, lacking_there) {
            (Some(id), _) => Err(Error::rejected(format!(
                "the other device requires {id:?}, which this app does not support; update this app"
            ))),
            (None, Some(id)) => Err(Error::rejected(format!(
                "the app on the other device does not support {id:?}; update it"
            ))),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn ids_are_sorted_and_limited() {
        let capabilities = Capabilities::new(ids("z a z \u{ffff} \u{1f600}"), ids("z")).unwrap();
        // By UTF-16 code units: the surrogates of the emoji stand before U+FFFF.
        assert_eq!(capabilities.supported, ids("a z \u{1f600} \u{ffff}"));
        for (supported, required) in [
            (vec![String::new()], vec![]),
            (vec!["x".repeat(129)], vec![]),
            ((0..33).map(|n| n.to_string()).collect(), vec![]),
            (ids("a"), ids("b")),
        ] {
            assert!(Capabilities::new(supported, required).is_err());
        }
        assert!(Capabilities::new(vec!["\u{1f600}".repeat(64)], vec![]).is_ok());
        assert!(Capabilities::new(vec!["\u{1f600}".repeat(65)], vec![]).is_err());
    }

    #[test]
    fn both_sides_support_what_either_requires() {
        let of = |supported, required| Capabilities::new(ids(supported), ids(required)).unwrap();
        let nothing = Capabilities::default();
        assert!(nothing.check_with(&nothing).is_ok());
        assert!(of("a b", "a").check_with(&of("a", "")).is_ok());
        assert!(of("a", "").check_with(&of("a b", "a")).is_ok());
        assert!(nothing.check_with(&of("b", "")).is_ok());
        let here = nothing.check_with(&of("b", "b")).unwrap_err().to_string();
        assert!(here.contains("update this app"), "{here}");
        let there = of("b", "b").check_with(&nothing).unwrap_err().to_string();
        assert!(there.contains("update it"), "{there}");
        // The other side contradicts itself.
        let contradiction = Capabilities::checked(vec![], ids("a")).unwrap();
        assert!(of("a", "").check_with(&contradiction).is_err());
    }
}
