//! Runs the binary in a place of its own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder with a mailbox folder in it, and the binary.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("box")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// A device with a store of its own; its commands run in the temporary folder.
    pub(crate) fn device(&self, name: &str) -> Device<'_> {
        Device { place: self, store: format!("{name}.db") }
    }

    /// The binary in an environment where nothing of the machine's user is visible.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interocitor"));
        command.current_dir(self.folder.path()).env_clear().env("HOME", self.folder.path().join("home"));
        command
    }
}

/// A store and the binary.
pub(crate) struct Device<'a> {
    pub(crate) place: &'a Place,
    pub(crate) store: String,
}

impl Device<'_> {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command();
        command.args(["--store", &self.store]).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs what must succeed without a word on standard error; gives standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}\n{}", run.stdout);
        run.stdout
    }

    /// As [`ok`](Self::ok) with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&without_lone_surrogates(&text))
            .unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Runs with something on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Run::from(child.wait_with_output().unwrap())
    }

    /// Connects to the folder `box`, founding or joining.
    pub(crate) fn connect(&self, others: &[&str]) -> String {
        self.ok(&[&["connect", "--mailbox", "folder:box"], others].concat())
    }

    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        self.place.path(&format!("{}.{ending}", self.store))
    }

    /// The passphrase that is saved.
    pub(crate) fn passphrase(&self) -> String {
        let text = std::fs::read_to_string(self.beside("credentials")).unwrap();
        let saved: Value = serde_json::from_str(&text).unwrap();
        saved["passphrase"].as_str().unwrap().to_owned()
    }
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.stdin(Stdio::null()).output().unwrap())
    }

    /// Fails unless this is exit code 1 with one line under `code`, which is returned.
    pub(crate) fn failed_with(&self, code: &str) -> &str {
        assert_eq!(self.code, 1, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let line = self.stderr.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{self:?}");
        line.strip_prefix(&format!("error[{code}]: ")).unwrap_or_else(|| panic!("no {code}: {self:?}"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the independent reader sees in a mesh's folder.
pub(crate) fn reference(mesh: &Path, passphrase: &str) -> Value {
    let output = Command::new("python3")
        .arg(root().join("tests/reference.py"))
        .arg(mesh)
        .arg(passphrase)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&without_lone_surrogates(&String::from_utf8(output.stdout).unwrap())).unwrap()
}

/// Compares JSON by meaning: 1 and 1.0 are the same number.
pub(crate) fn assert_same(ours: &Value, wanted: &Value, place: &str) {
    match (ours, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "keys of {place}");
            a.iter().for_each(|(key, value)| assert_same(value, &b[key], &format!("{place}.{key}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "length of {place}");
            a.iter().zip(b).for_each(|(a, b)| assert_same(a, b, place));
        }
        (Value::Number(a), Value::Number(b)) => {
            assert_eq!(a.as_f64().map(f64::to_bits), b.as_f64().map(f64::to_bits), "{place}");
        }
        _ => assert_eq!(ours, wanted, "{place}"),
    }
}

/// `serde_json` refuses the escapes of lone surrogates in texts: each becomes a private character.
pub(crate) fn without_lone_surrogates(json: &str) -> String {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut rest) = (String::new(), json);
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(lone @ 0xd800..=0xdfff), _) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\ue{:03x}", lone & 0xfff);
                rest = &rest[6..];
                continue;
            }
            _ => 2,
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out + rest
}

/// Every file below a folder with its content.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}

/// Permission bits of a file.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
