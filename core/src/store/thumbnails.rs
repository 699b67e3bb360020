//! Small pictures of images, by the digest of the image: they outlive its copy on this device.

#[cfg(feature = "thumbnails")]
use rusqlite::{OptionalExtension, params};

use super::Tx;
#[cfg(feature = "thumbnails")]
use super::meta::signed;
use crate::error::Result;

/// The table of this noun; stores of before do not have it.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS thumbnails(
    id INTEGER PRIMARY KEY,                         -- in the order in which they were made
    digest TEXT NOT NULL, edge INTEGER NOT NULL,    -- of the image; of the square into which the picture fits
    content_type TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (digest, edge)
);
";

/// A picture as it is stored.
#[cfg(feature = "thumbnails")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) content_type: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: Vec<u8>,
}

#[cfg(feature = "thumbnails")]
impl Tx<'_> {
    /// The small picture of an image.
    pub(crate) fn thumbnail(&self, digest: &str, edge: u32) -> Result<Option<Picture>> {
        let sql = "SELECT content_type, width, height, bytes FROM thumbnails WHERE digest = ?1 AND edge = ?2";
        let picture = self.sql(sql)?.query_row(params![digest, edge], |row| {
            Ok(Picture {
                content_type: row.get(0)?,
                width: row.get(1)?,
                height: row.get(2)?,
                bytes: row.get(3)?,
            })
        });
        Ok(picture.optional()?)
    }

    /// Keeps a small picture, and of all of them the latest, up to `budget` bytes.
    pub(crate) fn put_thumbnail(
        &self,
        digest: &str,
        edge: u32,
        picture: &Picture,
        budget: u64,
    ) -> Result<()> {
        self.sql(
            "INSERT OR REPLACE INTO thumbnails(digest, edge, content_type, width, height, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            digest,
            edge,
            picture.content_type,
            picture.width,
            picture.height,
            picture.bytes
        ])?;
        self.sql(
            "DELETE FROM thumbnails WHERE id <= (SELECT max(id) FROM (
               SELECT id, sum(length(bytes)) OVER (ORDER BY id DESC) AS newer FROM thumbnails) WHERE newer > ?1)",
        )?
        .execute([signed(budget)])?;
        Ok(())
    }
}

impl Tx<'_> {
    /// Forgets the pictures of an image that no file has any more: what was deleted does not linger.
    pub(crate) fn drop_thumbnails(&self, digest: &str) -> Result<()> {
        let sql =
            "DELETE FROM thumbnails WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM files WHERE digest = ?1)";
        self.sql(sql)?.execute([digest])?;
        Ok(())
    }
}
