//! What the operating system does to an app: foreground, background, suspension, a moment to sync.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Connection, Interocitor};
use crate::{
    error::{Error, Result},
    events::ConnectionStatus,
    host::within,
    sync::{Foretaste, connect},
};

impl Interocitor {
    /// Tells whether the user sees the app. In the background a connected database polls ten times as
    /// seldom, after publishing what waits; back in the foreground it exchanges at once, and is the process
    /// that does so where several have the store open.
    pub fn set_foreground(&self, is_foreground: bool) {
        self.inner.driver.set_foreground(is_foreground);
    }

    /// Lets go of every file and lock, so that the operating system may freeze the app: iOS ends apps that
    /// hold a lock on a file then. An exchange under way is broken off and continued later, but for an
    /// upload that the platform carries (`PlatformUploads`): it goes on, and what it came to is noted after the
    /// next [`resume`](Self::resume). Calls answer `SUSPENDED` until [`resume`](Self::resume); live queries wait.
    ///
    /// Returns when no lock is held any more.
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN`, and those of the store.
    pub async fn suspend(&self) -> Result<()> {
        let inner = &self.inner;
        if inner.is_shut_down.load(Ordering::Acquire) {
            return Err(Error::ShutDown);
        }
        if inner.is_suspended.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        inner.interrupt.send_replace(());
        let _one = inner.exchange.lock().await;
        let _none = inner.file_gate.write().await;
        inner.give_up_lease();
        let adapter = inner.remote().adapter.clone();
        if let Some(adapter) = adapter {
            adapter.quiesce().await;
        }
        inner.replicas.quiesce().await;
        inner
            .ctx
            .blocking(|ctx| {
                let checkpointed = ctx.store.checkpoint();
                ctx.store.release()?;
                checkpointed
            })
            .await
    }

    /// Takes the files up again after [`suspend`](Self::suspend), and exchanges at once where the database
    /// is connected.
    ///
    /// # Errors
    ///
    /// `SHUT_DOWN`; those of the store, and then it stays suspended.
    pub async fn resume(&self) -> Result<()> {
        let inner = &self.inner;
        if inner.is_shut_down.load(Ordering::Acquire) {
            return Err(Error::ShutDown);
        }
        if !inner.is_suspended.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one = inner.exchange.lock().await;
        inner.ctx.blocking(|ctx| ctx.store.reopen()).await?;
        inner.is_suspended.store(false, Ordering::Release);
        // Another process may have written meanwhile.
        inner.ctx.events.mark_all();
        inner.ctx.events.pulse().beat();
        inner.driver.hurry();
        inner.file_worker.wake();
        inner.replicas.stir();
        Ok(())
    }

    /// Connects where that is needed, exchanges once and moves the files that wait, within `deadline`: for the short time that an
    /// operating system gives to an app in the background. What was not done in time is done later.
    ///
    /// # Errors
    ///
    /// `REMOTE_TIMEOUT` after the deadline; those of [`connect`](Self::connect), and that which keeps a
    /// connection offline.
    pub async fn sync_once(&self, deadline: Duration) -> Result<()> {
        self.inner.check_open()?;
        let inner = Arc::clone(&self.inner);
        let host = &*self.inner.config.host;
        let begun_ms = host.now_ms();
        within(host, deadline, "sync", async move {
            let exchange = async || {
                inner
                    .exchange(async |link| connect::exchange(&inner.ctx, link, Foretaste::default()).await)
                    .await
            };
            if inner.remote().link.is_some() {
                exchange().await?;
            } else {
                inner.take_lease(true)?;
                if let Connection::Offline { error, .. } = inner.connect_once(true).await? {
                    return Err(error);
                }
            }
            // Rows first: files may take all the time that there is.
            if inner.run_files(true).await?.has_released {
                exchange().await?;
            }
            Ok(())
        })
        .await?;
        // With the time that is left, and without a word on what they did not get.
        let left = deadline.saturating_sub(Duration::from_millis(host.now_ms().saturating_sub(begun_ms)));
        let feed = async {
            self.inner.feed_replicas().await;
            Ok(())
        };
        let _ = within(host, left, "replica", feed).await;
        Ok(())
    }

    /// State of the connection, without a look at the store.
    pub fn connection_status(&self) -> ConnectionStatus {
        self.inner.remote().status
    }
}
