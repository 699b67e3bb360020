//! A key from a passphrase that a person chose: Argon2id (RFC 9106).
//!
//! A mesh key needs none of this, it is random. The passphrase of a file on a server is not.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroize as _;

use crate::key::{KEY_BYTES, Key};

/// Length of a salt in bytes, as RFC 9106 recommends.
pub const SALT_BYTES: usize = 16;

/// Most memory that [`stretch`] takes, in KiB: 1 GiB.
const MOST_MEMORY: u32 = 1 << 20;
/// Most passes and lanes.
const MOST_PASSES: u32 = 64;

/// What guessing a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes that could be filled at once.
    pub lanes: u32,
}

impl Default for Cost {
    /// RFC 9106, section 4, second recommendation: 64 MiB, 3 passes, 4 lanes. About a tenth of a second.
    fn default() -> Self {
        Self { memory: 64 << 10, passes: 3, lanes: 4 }
    }
}

/// The cost is beyond what is sensible, or Argon2 does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cost of the key derivation is out of range")]
pub struct CostError;

/// Stretches `secret` into a key. Takes `cost` in memory and time, so call it off threads that must not block.
///
/// # Errors
///
/// [`CostError`] where a file asks for more than 1 GiB or 64 passes or lanes, or for less than Argon2 has.
pub fn stretch(secret: &str, salt: &[u8; SALT_BYTES], cost: Cost) -> Result<Key, CostError> {
    if cost.memory > MOST_MEMORY || cost.passes > MOST_PASSES || cost.lanes > MOST_PASSES {
        return Err(CostError);
    }
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(KEY_BYTES)).map_err(|_| CostError)?;
    let mut bytes = [0; KEY_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.as_bytes(), salt, &mut bytes)
        .map_err(|_| CostError)?;
    let key = Key::from_bytes(bytes);
    bytes.zeroize();
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_argon2id_as_others_compute_it() {
        let small = Cost { memory: 256, passes: 2, lanes: 1 };
        let key = stretch("password", b"somesaltsomesalt", small).unwrap();
        assert_eq!(
            hex::encode(key.as_bytes()),
            "cab746b4621993fdc91ec50787980b414a90a692f0bc68dfe19f9c25b3cba9ec"
        );
    }

    #[test]
    fn salt_secret_and_cost_all_matter() {
        let small = Cost { memory: 64, passes: 1, lanes: 1 };
        let key = stretch("a", &[1; 16], small).unwrap();
        assert_eq!(stretch("a", &[1; 16], small).unwrap(), key);
        assert_ne!(stretch("b", &[1; 16], small).unwrap(), key);
        assert_ne!(stretch("a", &[2; 16], small).unwrap(), key);
        assert_ne!(stretch("a", &[1; 16], Cost { passes: 2, ..small }).unwrap(), key);
    }

    #[test]
    fn a_cost_that_would_take_the_machine_down_is_refused() {
        let good = Cost::default();
        for bad in [
            Cost { memory: u32::MAX, ..good },
            Cost { memory: 1, ..good },
            Cost { passes: u32::MAX, ..good },
            Cost { passes: 0, ..good },
            Cost { lanes: u32::MAX, ..good },
            Cost { lanes: 0, ..good },
        ] {
            assert_eq!(stretch("a", &[0; 16], bad), Err(CostError), "{bad:?}");
        }
    }
}
