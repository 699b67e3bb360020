//! What can be asked: options and verbs. The comments on them are the help.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

/// Encrypted, local-first rows that sync through a folder or server you already own.
///
/// Rows live in a local store file and can be read and written offline. A mailbox, which is a plain
/// folder, a WebDAV server, an S3 bucket, Google Drive or a Cloudflare Worker, carries end-to-end
/// encrypted changes between devices.
#[derive(Parser)]
#[command(name = "interocitor", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = MORE)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXAMPLES: &str = "\
Start here:  interocitor demo

  interocitor add todos '{\"title\":\"Buy milk\",\"done\":false}'
  interocitor query todos --where done equals false --order-by title
  interocitor connect --mailbox folder:/path/to/shared/folder
  interocitor sync";

const MORE: &str = "\
Start here:  interocitor demo

  interocitor add todos '{\"title\":\"Buy milk\",\"done\":false}'
  interocitor query todos --where done equals false --order-by title
  interocitor connect --mailbox folder:/path/to/shared/folder
  interocitor sync

Beside the store FILE lie FILE.settings (mailbox, remote path, encryption) and FILE.credentials (the
passphrase), both readable by you only. A second device joins by pairing (interocitor pair share, and pair
scan there), or with that passphrase in a file: --passphrase-file takes the bare text or a copied
.credentials file.

Exit codes: 0 success; 1 failure, with one line \"error[CODE]: reason\" on standard error; 2 wrong usage.
Files of the mailbox that cannot be read are kept in quarantine: a warning, and exit code 0.";

/// Options of every verb. What concerns the mesh is remembered with the store.
#[derive(Args)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Options {
    /// The local store, made where it is missing [default: interocitor/default.db in your data folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Where changes are exchanged: folder:/path, webdav+https://user:password@host/path or
    /// s3://access-key:secret-key@bucket/prefix?endpoint=https://host or gdrive:?token-file=/path or
    /// cloudflare+https://host/io/ADDRESS
    ///
    /// Characters such as @ or / in user, password or key are written as %40 and %2F. An s3 address without keys
    /// takes them from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; it also knows region= and addressing=path
    /// or virtual. In place of a file, a command may print the access token of Google Drive:
    /// gdrive:?token-command=COMMAND, with %20 for a space. A Worker that wants a token takes it from the same two
    /// behind its address, or from INTEROCITOR_CLOUDFLARE_TOKEN.
    #[arg(long, global = true, value_name = "URI")]
    pub(crate) mailbox: Option<String>,
    /// The mesh's folder within the mailbox [default: /Mesh]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) remote_path: Option<String>,
    /// One more mailbox that every change file of this device is written to; remembered under NAME
    #[arg(long, global = true, value_name = "NAME=URI")]
    pub(crate) replica: Vec<String>,
    /// The same with all that a device needs to be restored from it: snapshot, manifest, files
    #[arg(long, global = true, value_name = "NAME=URI")]
    pub(crate) mirror: Vec<String>,
    /// Forgets a replica or mirror; what it holds stays there
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) forget_replica: Vec<String>,
    /// A file with the passphrase of the mesh; without one, founding a mesh makes a new passphrase
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "plaintext")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The mesh is not encrypted
    #[arg(long, global = true)]
    pub(crate) plaintext: bool,
    /// Fixes the id of this device [default: a new one for each store]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) device_id: Option<String>,
    /// Name of this device, shown to the others; it is not encrypted
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) device_name: Option<String>,
    /// Answers as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Tables, indexes and merge strategies of the app, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Moves a damaged store aside and continues with an empty one
    #[arg(long, global = true)]
    pub(crate) set_aside_corrupt: bool,
}

/// A row as JSON.
#[derive(Args)]
pub(crate) struct RowArgs {
    pub(crate) table: String,
    /// Id of the row
    pub(crate) rowid: String,
    /// The columns as a JSON object; - reads it from standard input
    #[arg(value_name = "JSON")]
    pub(crate) row: String,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Show two devices write offline, sync through an encrypted folder, conflict and agree
    Demo {
        /// Leaves the mailbox and its passphrase in DIR/mailbox and DIR/passphrase; DIR must be empty or new
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Add a row under a new id, which is printed
    Add {
        table: String,
        /// The columns as a JSON object; - reads it from standard input
        #[arg(value_name = "JSON")]
        row: String,
        /// The id starts with this and an underscore
        #[arg(long)]
        prefix: Option<String>,
    },
    /// Set columns of a row, keep its others, make it where it is missing
    Put(RowArgs),
    /// The same as put
    Patch(RowArgs),
    /// Set columns of a row, and its others to null
    Replace(RowArgs),
    /// Delete a row
    Delete {
        table: String,
        /// Id of the row
        rowid: String,
    },
    /// Show a row
    Row {
        table: String,
        /// Id of the row
        rowid: String,
    },
    /// Show the rows that meet every condition
    Query(QueryArgs),
    /// List the tables
    Tables,
    /// Write many rows at once: all of them, or none
    ///
    /// One JSON object a line: {"op":"put","table":"todos","id":"milk","row":{"done":true}}. `op` is put,
    /// patch, replace, delete (without row) or add (without id, with "prefix" if you like).
    Batch {
        /// The file; - is standard input
        #[arg(value_name = "FILE.jsonl")]
        file: PathBuf,
    },
    /// Take part in the mesh of a mailbox, or found one where it is empty; exchange changes
    Connect,
    /// Read what is new; connecting publishes what waits, too
    Pull,
    /// Publish what waits; connecting reads what is new, too
    Flush,
    /// Exchange changes with the mailbox, in both directions
    Sync,
    /// Write one snapshot of all rows, so that new devices need not read every change file
    ///
    /// Files that it covers are deleted by a later compaction of this device, after the grace.
    Compact {
        /// How long covered files are kept for slow peers
        #[arg(long, value_name = "SECONDS", default_value = "86400")]
        grace: u64,
    },
    /// Bring replicas up to date, and show what they were given
    ///
    /// What was broken off is continued by the next run. Replicas are named by --replica and --mirror, once.
    Replicate {
        /// Only this one [default: all]
        name: Option<String>,
        /// Compares what is there by SHA-256, too, which reads everything on both sides
        #[arg(long)]
        verify: bool,
    },
    /// Write all rows and files into DIR as readable JSON, or into one encrypted archive
    ///
    /// The mailbox is asked for files that do not lie here. core/FORMAT.md describes both forms.
    Export {
        /// A folder that does not exist yet, or an empty one; nothing in it is encrypted
        #[arg(value_name = "DIR", required_unless_present = "archive", conflicts_with = "archive")]
        folder: Option<PathBuf>,
        /// One file in place of a folder, encrypted under the key of the mesh
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
        /// Encrypts the archive under the passphrase in this file instead; - is standard input
        #[arg(long, value_name = "FILE", requires = "archive")]
        archive_passphrase_file: Option<PathBuf>,
    },
    /// Take over an export, a folder or an archive: all of it, or nothing
    ///
    /// Into a new store this is a restore: the next connect founds a fresh mesh with it in an empty mailbox, or joins the
    /// mesh that was exported, given its passphrase. Into a store of the same mesh it merges.
    Import {
        /// The folder or the archive
        #[arg(value_name = "PATH")]
        source: PathBuf,
        /// A file with the passphrase of the archive; - is standard input [default: the key of this store's mesh]
        #[arg(long, value_name = "FILE")]
        archive_passphrase_file: Option<PathBuf>,
    },
    /// Show how things stand here, without asking the mailbox
    Status,
    /// Look for what is wrong with the store and the mailbox, say what it means and what to do
    ///
    /// Reads everything and writes nothing. Exit code 1 where something endangers data or sync.
    Doctor {
        /// Mends what can be mended without anybody losing anything
        #[arg(long)]
        fix: bool,
    },
    /// Take part in the mesh of another device, or let it take part in this one's, by a code to scan
    Pair {
        #[command(subcommand)]
        verb: PairVerb,
    },
    /// List the devices of the mesh, as they describe themselves in the mailbox
    Devices {
        #[command(subcommand)]
        verb: Option<DevicesVerb>,
    },
    /// Files of the mailbox that could not be read, and writes whose rows were deleted elsewhere
    Quarantine {
        #[command(subcommand)]
        verb: QuarantineVerb,
    },
    /// Sync again and again, and show changes as they arrive, until Ctrl-C
    Watch {
        /// Seconds between two looks into the mailbox
        #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = interval)]
        interval: Duration,
    },
    /// Files of any size beside the rows, encrypted as they are
    ///
    /// What is put or deleted lies in this device's queue at once, and is brought to the mailbox now where that can be
    /// reached, else by the next sync.
    File {
        #[command(subcommand)]
        verb: FileVerb,
    },
    /// Print the whole store as JSON
    Dump,
    /// Show the passphrase as a recovery kit to print or write down: whoever has it reads everything
    Recovery {
        #[command(subcommand)]
        verb: Option<RecoveryVerb>,
    },
}

#[derive(Subcommand)]
pub(crate) enum RecoveryVerb {
    /// Read a kit from standard input, its text, code or 24 words, and use its passphrase
    Import,
}

#[derive(Subcommand)]
pub(crate) enum QuarantineVerb {
    /// List them with the reason
    List,
    /// Try a file again with the next pull; write a write once more, which brings its row back
    Restore {
        /// As listed
        name: String,
    },
    /// Ignore a file until its content changes; forget a write for good
    Discard {
        /// As listed
        name: String,
    },
}

/// Both devices need the same mailbox. No passphrase is typed: it travels encrypted, for the other device alone.
#[derive(Subcommand)]
pub(crate) enum PairVerb {
    /// Show a code; the device that scans it joins this device's mesh
    Share {
        #[command(flatten)]
        args: PairArgs,
    },
    /// Show a code; this device joins the mesh of the device that scans it
    Join {
        #[command(flatten)]
        args: PairArgs,
    },
    /// Scan a code that another device shows
    Scan {
        /// The payload, or a link with it; - reads it from standard input, where nobody else sees it
        payload: String,
        #[command(flatten)]
        args: PairArgs,
    },
}

#[derive(Args)]
pub(crate) struct PairArgs {
    /// Asks whether both devices show the same code, before anything is given or taken
    #[arg(long)]
    pub(crate) confirm: bool,
    /// The mailbox's folder below which the devices meet, the same on both
    #[arg(long, value_name = "PATH", default_value = "/Interocitor")]
    pub(crate) relay: String,
    /// How long to wait for the other device, at each step
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Subcommand)]
pub(crate) enum FileVerb {
    /// Put a file under a path such as receipts/may.pdf
    Put {
        path: String,
        /// The file to read; - is standard input
        #[arg(value_name = "SRC")]
        source: PathBuf,
        /// Its media type, such as application/pdf
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
    },
    /// Write the content of a file to DST, once all of it is checked
    Get {
        path: String,
        /// The file to write; - is standard output
        #[arg(value_name = "DST")]
        target: PathBuf,
        /// Accept this content only
        #[arg(long, value_name = "SHA256")]
        digest: Option<String>,
    },
    /// Show what is known of a file
    Meta { path: String },
    /// Delete a file
    Rm { path: String },
    /// List the files whose paths begin with PREFIX
    List { prefix: Option<String> },
}

#[derive(Subcommand)]
pub(crate) enum DevicesVerb {
    /// Wait no more for a device that will not come back
    Retire {
        /// Its id, as listed
        id: String,
    },
}

const WHERE: &str = "\
A condition; several must all hold

OP is equals, above, above-or-equal, below, below-or-equal, between (VALUE is [least,greatest]), starts-with \
or any-of (VALUE is a JSON array). VALUE is JSON; text that is no JSON is a string.";

#[derive(Args)]
pub(crate) struct QueryArgs {
    pub(crate) table: String,
    #[arg(
        long = "where",
        help = "A condition; several must all hold",
        long_help = WHERE,
        num_args = 3,
        value_names = ["FIELD", "OP", "VALUE"],
        action = clap::ArgAction::Append,
        allow_hyphen_values = true
    )]
    pub(crate) filters: Vec<String>,
    /// Order by a field, then by the next one given; rows of the same order stand by their ids
    #[arg(long, value_name = "FIELD[:desc]")]
    pub(crate) order_by: Vec<String>,
    /// At most so many rows
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<u64>,
    /// Leaves out so many rows at the start
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    pub(crate) offset: u64,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("must lie between 0.1 and 86400".into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "x", "nan", "1e9"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
