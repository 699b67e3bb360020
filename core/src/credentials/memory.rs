//! Credentials in memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{CredentialStore, Credentials};
use crate::error::Result;

/// Credentials in memory, for tests and previews.
#[derive(Default)]
pub struct MemoryCredentials(Mutex<HashMap<String, Credentials>>);

impl MemoryCredentials {
    fn saved(&self) -> MutexGuard<'_, HashMap<String, Credentials>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryCredentials")
    }
}

#[async_trait]
impl CredentialStore for MemoryCredentials {
    async fn load(&self, name: &str) -> Result<Option<Credentials>> {
        Ok(self.saved().get(name).cloned())
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()> {
        self.saved().insert(name.to_owned(), credentials.clone());
        Ok(())
    }

    async fn clear(&self, name: &str) -> Result<()> {
        self.saved().remove(name);
        Ok(())
    }
}
