//! Demo: two devices write offline, sync through an encrypted folder, conflict and agree.
//!
//! Everything shown is read back: rows from the stores, files from the mailbox folder.

mod device;
mod folder;
mod view;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use device::Device;
use serde_json::{Value, json};
use tempfile::TempDir;
use view::View;

use crate::{
    failure::{Failure, Outcome},
    private_file, reply,
    terminal::Paint,
    text,
};

/// The only table.
const TABLE: &str = "todos";

/// What the devices write and no file may show.
const PHRASES: [&str; 5] = ["Oat milk", "Rye bread", "Sourdough", "Birthday cake", "two bottles"];

/// Runs the demo.
pub(crate) async fn run(keep: Option<&Path>, as_json: bool) -> Outcome<()> {
    let place = Place::prepare(keep)?;
    let demo = Demo { place, paint: Paint::new(), is_silent: as_json };
    let agreed = demo.play().await?;
    if as_json {
        reply::print(&format!("{{\"agree\":true,\"dump\":{agreed}}}\n"))?;
    }
    Ok(())
}

/// Where the demo's files lie.
struct Place {
    /// The stores, and the mailbox unless it is kept. Removed at the end.
    stores: TempDir,
    /// The folder that the user wants to keep.
    kept: Option<PathBuf>,
}

impl Place {
    /// Refuses a folder with something in it before anything is done.
    fn prepare(keep: Option<&Path>) -> Outcome<Self> {
        let kept = keep.map(empty_folder).transpose()?;
        let stores = tempfile::Builder::new()
            .prefix("interocitor-demo-")
            .tempdir()
            .map_err(|error| Failure::file("the temporary folder", &std::env::temp_dir(), &error))?;
        let place = Self { stores, kept };
        let mailbox = place.mailbox();
        std::fs::create_dir(&mailbox)
            .map_err(|error| Failure::file("the mailbox folder", &mailbox, &error))?;
        Ok(place)
    }

    fn mailbox(&self) -> PathBuf {
        self.kept.as_deref().unwrap_or(self.stores.path()).join("mailbox")
    }

    fn store(&self, name: &str) -> PathBuf {
        self.stores.path().join(format!("{name}.db"))
    }
}

fn empty_folder(folder: &Path) -> Outcome<PathBuf> {
    let fault = |error| Failure::file("--keep", folder, &error);
    let folder = std::path::absolute(folder).map_err(fault)?;
    private_file::make_folder(&folder).map_err(fault)?;
    match std::fs::read_dir(&folder).map_err(fault)?.next() {
        None => Ok(folder),
        Some(_) => Err(Failure::invalid(format!(
            "--keep {}: the folder is not empty; name an empty or a new one",
            folder.display()
        ))),
    }
}

struct Demo {
    place: Place,
    paint: Paint,
    is_silent: bool,
}

impl Demo {
    /// Plays all scenes; gives the dump on which all devices agree.
    async fn play(&self) -> Outcome<String> {
        let started = Instant::now();
        let title = self.paint.bold("interocitor demo");
        self.say(&format!(
            "{title}   two devices, one folder between them, and not a word of theirs readable in it\n"
        ))?;

        self.scene(1, "The laptop founds a mesh in an empty folder; the phone joins with its passphrase")?;
        let mailbox = self.place.mailbox();
        let laptop = Device::open("laptop", &self.place.store("laptop"), &mailbox, None).await?;
        laptop.connect().await?;
        let passphrase = laptop.passphrase()?;
        if let Some(kept) = &self.place.kept {
            let file = kept.join("passphrase");
            private_file::write(&file, format!("{}\n", passphrase.expose()).as_bytes())
                .map_err(|error| Failure::file("the passphrase file", &file, &error))?;
        }
        let phone =
            Device::open("phone", &self.place.store("phone"), &mailbox, Some(passphrase.clone())).await?;
        phone.connect().await?;
        laptop
            .batch(&[
                ("bread", json!({"title": "Bread", "done": false})),
                ("cake", json!({"title": "Birthday cake", "done": false})),
                ("milk", json!({"title": "Oat milk", "done": false})),
            ])
            .await?;
        laptop.sync().await?;
        phone.sync().await?;
        self.say("   laptop  one batch of three rows, then both sync\n")?;
        self.show(&[&laptop, &phone]).await?;

        self.scene(2, "Both go offline and write")?;
        laptop.disconnect().await;
        phone.disconnect().await;
        self.write_apart(&laptop, &phone).await?;
        self.show(&[&laptop, &phone]).await?;
        for device in [&laptop, &phone] {
            let waiting = text::count(device.pending().await?, "change file");
            self.say(&format!("   {:<8}{waiting} waiting for the mailbox\n", device.name()))?;
        }

        self.scene(3, "They meet again: each publishes its own and reads the other's")?;
        laptop.connect().await?;
        phone.connect().await?;
        laptop.sync().await?;
        self.show(&[&laptop, &phone]).await?;

        self.scene(4, "What anybody with access to the folder sees: times and device ids, no data")?;
        self.show_folder(&mailbox)?;

        self.scene(5, "A third device starts from the folder and the passphrase alone")?;
        let tablet = Device::open("tablet", &self.place.store("tablet"), &mailbox, Some(passphrase)).await?;
        tablet.connect().await?;
        let devices = [&laptop, &phone, &tablet];
        self.show(&devices).await?;
        let agreed = self.compare(&devices).await?;
        let seconds = started.elapsed().as_secs_f64();
        self.say(&format!("   {}\n", self.paint.dim(&format!("{seconds:.2} seconds"))))?;
        self.say_what_is_kept()?;
        for device in [laptop, phone, tablet] {
            device.close().await?;
        }
        Ok(agreed)
    }

    /// Conflicts of every kind, each write a little later than the one before.
    async fn write_apart(&self, laptop: &Device, phone: &Device) -> Outcome<()> {
        let writes: [(&Device, &str, Option<Value>, &str); 6] = [
            (laptop, "milk", Some(json!({"done": true})), ""),
            (phone, "milk", Some(json!({"note": "two bottles"})), "one row, different columns: both stay"),
            (laptop, "bread", Some(json!({"title": "Rye bread"})), ""),
            (phone, "bread", Some(json!({"title": "Sourdough"})), "the same column: the later one stays"),
            (phone, "cake", Some(json!({"done": true})), ""),
            (laptop, "cake", None, "a delete after an edit: the row goes"),
        ];
        for (device, id, fields, remark) in writes {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let what = match fields {
                Some(fields) => {
                    device.put(id, &fields).await?;
                    format!("put {id} {fields}")
                }
                None => {
                    device.delete(id).await?;
                    format!("delete {id}")
                }
            };
            let remark = self.paint.dim(remark);
            let line = format!("   {:<8}{what:<34}{remark}", device.name());
            self.say(&format!("{}\n", line.trim_end()))?;
        }
        Ok(())
    }

    /// The rows as each device has them; what differs is marked.
    async fn show(&self, devices: &[&Device]) -> Outcome<()> {
        let mut views = Vec::new();
        for device in devices {
            views.push(View::new(device.name(), &device.dump().await?)?);
        }
        self.say(&format!("\n{}\n", view::side_by_side(&views, self.paint)))
    }

    fn show_folder(&self, mailbox: &Path) -> Outcome<()> {
        let files =
            folder::read(mailbox).map_err(|error| Failure::file("the mailbox folder", mailbox, &error))?;
        for file in &files {
            self.say(&format!("   {}\n", self.paint.bold(&file.name)))?;
            self.say(&format!("     {:>5} bytes  {}\n", file.size(), self.paint.dim(&file.start(60))))?;
        }
        if let Some((file, phrase)) = folder::find(&files, &PHRASES) {
            return Err(Failure::new(
                "DEMO",
                format!("{} shows {phrase:?}: this must never happen", file.name),
            ));
        }
        let count = text::count(files.len() as u64, "file");
        let searched = PHRASES.map(|phrase| format!("{phrase:?}")).join(", ");
        self.say(&format!(
            "   searched all {count} for {searched}:\n   {}\n",
            self.paint.green("found nowhere")
        ))
    }

    /// Compares whole stores, tombstones and mesh included.
    async fn compare(&self, devices: &[&Device]) -> Outcome<String> {
        let mut dumps = Vec::new();
        for device in devices {
            dumps.push((device.name(), device.dump().await?));
        }
        let parsed: Vec<(&str, Value)> =
            dumps.iter().map(|(name, dump)| Ok((*name, view::parse(dump)?))).collect::<Outcome<_>>()?;
        let Some(((first, wanted), others)) = parsed.split_first() else { return Ok(String::new()) };
        if let Some((other, _)) = others.iter().find(|(_, dump)| dump != wanted) {
            return Err(Failure::new(
                "DEMO",
                format!("{first} and {other} do not agree: this must never happen"),
            ));
        }
        let rows = wanted["tables"][TABLE].as_object().map_or(0, serde_json::Map::len) as u64;
        let deleted = wanted["tombstones"][TABLE].as_array().map_or(0, Vec::len) as u64;
        let all = format!(
            "laptop, phone and tablet agree: {}, {}",
            text::count(rows, "row"),
            text::count(deleted, "deletion")
        );
        self.say(&format!("   {}\n", self.paint.green(&all)))?;
        Ok(dumps.pop().map(|(_, dump)| dump).unwrap_or_default())
    }

    fn say_what_is_kept(&self) -> Outcome<()> {
        let Some(kept) = &self.place.kept else {
            return self
                .say("\nTry it: interocitor --help. To keep the mailbox: interocitor demo --keep DIR\n");
        };
        let kept = text::shown(&kept.display().to_string());
        self.say(&format!(
            "\nKept in {kept}: mailbox (ciphertext) and passphrase. Join it:\n   \
             interocitor --store my.db --mailbox folder:{kept}/mailbox --remote-path / \\\n       \
             --passphrase-file {kept}/passphrase connect\n   \
             interocitor --store my.db query {TABLE}\n"
        ))
    }

    fn scene(&self, number: u8, title: &str) -> Outcome<()> {
        self.say(&format!("\n{}\n", self.paint.bold(&format!("{number}  {title}"))))
    }

    fn say(&self, text: &str) -> Outcome<()> {
        if self.is_silent { Ok(()) } else { reply::print(text) }
    }
}
