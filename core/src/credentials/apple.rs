//! Credentials in the keychain of iOS and macOS.
//!
//! Two kinds of items, both for this device only and never in a backup or in iCloud: the record itself, readable
//! without a prompt once the device was unlocked after its start, so that sync works in the background; and what
//! was secured with biometrics, under an access control that ends with any change of the enrolled faces and
//! fingers.

use std::fmt;

use async_trait::async_trait;
use security_framework::{
    access_control::{ProtectionMode, SecAccessControl},
    base::Error as KeychainError,
    passwords::{
        AccessControlOptions, PasswordOptions, delete_generic_password_options, generic_password,
        set_generic_password_options,
    },
};
use zeroize::Zeroizing;

use super::{BiometricPrompt, CredentialStore, Credentials, off_thread};
use crate::error::{Error, Result};

/// Results of the keychain, as Apple numbers them.
mod status {
    pub(super) const NOT_AVAILABLE: i32 = -25291;
    pub(super) const AUTH_FAILED: i32 = -25293;
    pub(super) const ITEM_NOT_FOUND: i32 = -25300;
    pub(super) const INTERACTION_NOT_ALLOWED: i32 = -25308;
    pub(super) const USER_CANCELED: i32 = -128;
    pub(super) const MISSING_ENTITLEMENT: i32 = -34018;
    /// `LAError`, which the keychain passes on.
    pub(super) const BIOMETRY_NOT_AVAILABLE: i32 = -6;
    pub(super) const BIOMETRY_NOT_ENROLLED: i32 = -7;
    pub(super) const BIOMETRY_LOCKOUT: i32 = -8;
}

/// Which items are meant.
#[derive(Debug, Clone)]
struct Place {
    service: String,
    access_group: Option<String>,
}

impl Place {
    fn item(&self, account: &str) -> PasswordOptions {
        let mut options = PasswordOptions::new_generic_password(&self.service, account);
        options.set_access_synchronized(Some(false));
        // On a Mac: the keychain that iOS has, with access groups and biometrics.
        options.use_protected_keychain();
        if let Some(group) = &self.access_group {
            options.set_access_group(group);
        }
        options
    }
}

/// Credentials in the keychain: silent, for this device only, after its first unlock.
#[derive(Clone)]
pub struct KeychainCredentials(Place);

impl KeychainCredentials {
    /// Items are kept apart by `service`, for instance the bundle identifier. With an access group the
    /// app's extensions see them, too; both need the entitlement.
    pub fn new(service: impl Into<String>, access_group: Option<String>) -> Self {
        Self(Place { service: service.into(), access_group })
    }
}

impl fmt::Debug for KeychainCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeychainCredentials").field(&self.0).finish()
    }
}

#[async_trait]
impl CredentialStore for KeychainCredentials {
    async fn load(&self, name: &str) -> Result<Option<Credentials>> {
        let item = (self.0.clone(), name.to_owned());
        off_thread(move || {
            let text = match generic_password(item.0.item(&item.1)) {
                Ok(text) => Zeroizing::new(text),
                Err(error) if error.code() == status::ITEM_NOT_FOUND => return Ok(None),
                Err(error) => return Err(told(error)),
            };
            let record = std::str::from_utf8(&text).ok().and_then(|text| Credentials::from_json(text).ok());
            let damaged = || Error::CredentialInvalidated { reason: "the keychain item is damaged".into() };
            Ok(Some(record.ok_or_else(damaged)?))
        })
        .await
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()> {
        let (item, text) = ((self.0.clone(), name.to_owned()), credentials.to_json());
        off_thread(move || write(&item.0, &item.1, text.as_bytes())).await
    }

    async fn clear(&self, name: &str) -> Result<()> {
        let item = (self.0.clone(), name.to_owned());
        off_thread(move || remove(&item.0, &item.1)).await
    }
}

/// Face ID and Touch ID over the keychain: a secret is an item that only the faces and fingers of today open.
/// Apps declare `NSFaceIDUsageDescription`, which iOS shows with the prompt: the keychain shows no `reason` of a
/// call unless it comes through LocalAuthentication, which is not used here.
#[derive(Clone)]
pub struct KeychainBiometrics(Place);

impl KeychainBiometrics {
    /// As [`KeychainCredentials::new`].
    pub fn new(service: impl Into<String>, access_group: Option<String>) -> Self {
        Self(Place { service: format!("{}.biometrics", service.into()), access_group })
    }
}

impl fmt::Debug for KeychainBiometrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeychainBiometrics").field(&self.0).finish()
    }
}

#[async_trait]
impl BiometricPrompt for KeychainBiometrics {
    /// Gives the name of the item: what is kept beside the silent credential opens nothing.
    async fn seal(&self, secret: Zeroizing<Vec<u8>>, _reason: &str) -> Result<Vec<u8>> {
        let place = self.0.clone();
        off_thread(move || {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|error| Error::CredentialsUnavailable {
                reason: format!("no randomness: {error}"),
            })?;
            let account = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
            let guarded = SecAccessControl::create_with_protection(
                Some(ProtectionMode::AccessibleWhenPasscodeSetThisDeviceOnly),
                AccessControlOptions::BIOMETRY_CURRENT_SET.bits(),
            );
            let mut options = place.item(&account);
            options.set_access_control(guarded.map_err(told)?);
            match set_generic_password_options(&secret, options) {
                Ok(()) => Ok(account.into_bytes()),
                // There is nobody that the item could be bound to.
                Err(error) if error.code() == status::AUTH_FAILED => Err(Error::BiometricsNotEnrolled),
                Err(error) if error.code() == status::NOT_AVAILABLE => {
                    Err(Error::BiometricsUnavailable { reason: "the device has no code set".into() })
                }
                Err(error) => Err(told(error)),
            }
        })
        .await
    }

    async fn unseal(&self, sealed: &[u8], _reason: &str) -> Result<Zeroizing<Vec<u8>>> {
        let (place, sealed) = (self.0.clone(), sealed.to_vec());
        off_thread(move || {
            let lost = |reason: &str| Error::CredentialInvalidated { reason: reason.into() };
            let account =
                String::from_utf8(sealed).map_err(|_| lost("it was not sealed by this keychain"))?;
            match generic_password(place.item(&account)) {
                Ok(secret) => Ok(Zeroizing::new(secret)),
                // The keychain takes such an item away when faces or fingers change.
                Err(error) if error.code() == status::ITEM_NOT_FOUND => {
                    Err(lost("the enrolled faces or fingers are not those that it was secured with"))
                }
                Err(error) => Err(told(error)),
            }
        })
        .await
    }

    async fn discard(&self, sealed: &[u8]) -> Result<()> {
        let (place, sealed) = (self.0.clone(), sealed.to_vec());
        off_thread(move || match String::from_utf8(sealed) {
            Ok(account) => remove(&place, &account),
            Err(_) => Ok(()),
        })
        .await
    }
}

/// Writes the silent item. One that is there keeps its protection, which an update must not name.
fn write(place: &Place, account: &str, secret: &[u8]) -> Result<()> {
    let mut options = place.item(account);
    match generic_password(place.item(account)) {
        Ok(former) => drop(Zeroizing::new(former)),
        Err(error) if error.code() == status::ITEM_NOT_FOUND => {
            // No flags: no prompt.
            let silent = SecAccessControl::create_with_protection(
                Some(ProtectionMode::AccessibleAfterFirstUnlockThisDeviceOnly),
                0,
            );
            options.set_access_control(silent.map_err(told)?);
        }
        Err(error) => return Err(told(error)),
    }
    set_generic_password_options(secret, options).map_err(told)
}

fn remove(place: &Place, account: &str) -> Result<()> {
    match delete_generic_password_options(place.item(account)) {
        Err(error) if error.code() != status::ITEM_NOT_FOUND => Err(told(error)),
        _ => Ok(()),
    }
}

/// What a result of the keychain means.
fn told(error: KeychainError) -> Error {
    let reason = || format!("the keychain: {error} ({})", error.code());
    match error.code() {
        status::USER_CANCELED => Error::UserCancelled,
        status::BIOMETRY_NOT_AVAILABLE => Error::BiometricsUnavailable { reason: reason() },
        status::BIOMETRY_NOT_ENROLLED => Error::BiometricsNotEnrolled,
        // Before the first unlock, or while the screen is off.
        status::INTERACTION_NOT_ALLOWED => Error::CredentialsLocked { reason: reason() },
        // Too many wrong faces or fingers; the device asks for its code then.
        status::AUTH_FAILED | status::BIOMETRY_LOCKOUT => Error::BiometricsLockedOut,
        status::MISSING_ENTITLEMENT => Error::CredentialsUnavailable {
            reason: format!("{}; the app lacks the entitlement for this keychain or access group", reason()),
        },
        _ => Error::CredentialsUnavailable { reason: reason() },
    }
}
