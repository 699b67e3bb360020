//! Images: in by each kind of source, out in memory, as a temporary file and small, and what goes wrong.

use std::{fs, path::Path, sync::Arc};

use interocitor_ffi::{Failure, FileSource, ImageSource, Interocitor, Mailbox, Thumbnail};

use crate::support::{code, member, open, wait};

fn bytes(content: &[u8]) -> ImageSource {
    ImageSource::File { source: FileSource::Bytes { content: content.to_vec() } }
}

fn text(text: &str) -> ImageSource {
    ImageSource::Text { text: text.to_owned() }
}

fn put(db: &Interocitor, path: &str, source: ImageSource) -> Result<(), Failure> {
    wait(db.put_image(path.into(), source, None, None)).map(drop)
}

fn small(db: &Interocitor, path: &str, edge: u32) -> Result<Thumbnail, Failure> {
    wait(db.get_thumbnail(path.into(), edge, None))
}

/// A red picture as a BMP file; `claimed` is the size that its head tells of.
fn bitmap((width, height): (u32, u32), claimed: (u32, u32)) -> Vec<u8> {
    let line = (width * 3).div_ceil(4) * 4;
    let mut file = b"BM".to_vec();
    for number in [54 + line * height, 0, 54, 40, claimed.0, claimed.1, 0x0018_0001, 0, 0, 0, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    for _ in 0..height {
        let pixels = [0, 0, 255].into_iter().cycle().take(width as usize * 3);
        file.extend(pixels.chain([0; 3]).take(line as usize));
    }
    file
}

#[test]
fn images_go_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, b"of a file").unwrap();
    let mailbox = Arc::new(Mailbox::memory());
    let (a, b) = (member(&mailbox, |_| {}), member(&mailbox, |_| {}));
    put(&a, "a.jpg", bytes(b"of memory")).unwrap();
    let path = FileSource::Path { path: source.display().to_string() };
    put(&a, "b.webp", ImageSource::File { source: path }).unwrap();
    put(&a, "c.jpg", text("data:image/gif;base64,aGk=")).unwrap();
    put(&a, "d.jpg", text("<svg/>")).unwrap();
    let put_as = wait(a.put_image("e.jpg".into(), text("<svg/>"), Some("image/x-own".into()), None)).unwrap();
    assert_eq!((put_as.content_type.as_deref(), put_as.size), (Some("image/x-own"), Some(6)));
    let staged = wait(a.stage_image("f.png".into(), bytes(b"staged"), None, None)).unwrap();
    let batch = a.begin_batch().unwrap();
    batch.put_file(staged).unwrap();
    wait(batch.commit()).unwrap();
    wait(a.sync(None)).unwrap();
    let wanted: [(&str, &str, &[u8]); 6] = [
        ("a.jpg", "image/jpeg", b"of memory"),
        ("b.webp", "image/webp", b"of a file"),
        ("c.jpg", "image/gif", b"hi"),
        ("d.jpg", "image/svg+xml", b"<svg/>"),
        ("e.jpg", "image/x-own", b"<svg/>"),
        ("f.png", "image/png", b"staged"),
    ];
    for (path, content_type, bytes) in wanted {
        let image = wait(b.get_image(path.into(), None)).unwrap();
        assert_eq!(
            (image.content_type.as_str(), &*image.bytes, &*image.info.path),
            (content_type, bytes, path)
        );
        assert!(!format!("{image:?}").contains("[1"), "content is not logged: {image:?}");
    }
    let refused = wait(a.put_image("a.jpg".into(), bytes(b"x"), Some("text/plain".into()), None));
    assert_eq!(code(refused), "INVALID_ARGUMENT");
    let refused = wait(a.stage_image("a.jpg".into(), text("data:text/plain,x"), None, None));
    assert_eq!(code(refused), "INVALID_ARGUMENT");
    assert_eq!(code(wait(a.get_image("none".into(), None))), "FILE_NOT_FOUND");
}

#[test]
fn an_image_is_shown_until_it_is_revoked_or_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(|configuration| {
        configuration.path = Some(folder.path().join("a b.db").display().to_string());
    });
    put(&db, "x.svg", text("<svg/>")).unwrap();
    let show = || wait(db.get_image_url("x.svg".into(), None)).unwrap();
    let (revoked, forgotten, left) = (show(), show(), show());
    assert!(
        Path::new(&revoked.path()).extension().is_some_and(|ending| ending == "svg"),
        "{}",
        revoked.path()
    );
    assert_eq!(revoked.content_type(), "image/svg+xml");
    assert_eq!(fs::read(revoked.path()).unwrap(), b"<svg/>");
    revoked.revoke().unwrap();
    assert!(!Path::new(&revoked.path()).exists());
    revoked.revoke().unwrap();
    let path = forgotten.path();
    drop(forgotten);
    assert!(!Path::new(&path).exists() && Path::new(&left.path()).exists());
    wait(db.shutdown()).unwrap();
    assert!(!Path::new(&left.path()).exists());
    left.revoke().unwrap();
}

#[test]
#[cfg(feature = "thumbnails")]
fn small_pictures_are_made_of_what_is_a_picture() {
    let db = member(&Arc::new(Mailbox::memory()), |_| {});
    put(&db, "a.bmp", bytes(&bitmap((300, 150), (300, 150)))).unwrap();
    let made = small(&db, "a.bmp", 100).unwrap();
    assert_eq!((made.width, made.height, made.content_type.as_str()), (100, 50, "image/jpeg"));
    assert!(made.bytes.starts_with(b"\xff\xd8\xff"), "{made:?}");
    put(&db, "bomb.bmp", bytes(&bitmap((2, 2), (30_000, 30_000)))).unwrap();
    assert_eq!(code(small(&db, "bomb.bmp", 100)), "LIMIT");
    put(&db, "text.png", bytes(b"this is no image")).unwrap();
    assert_eq!(code(small(&db, "text.png", 100)), "DECODE");
    for edge in [0, 2049] {
        assert_eq!(code(small(&db, "a.bmp", edge)), "INVALID_ARGUMENT");
    }
    assert_eq!(code(small(&db, "none", 100)), "FILE_NOT_FOUND");
}

#[test]
#[cfg(not(feature = "thumbnails"))]
fn without_small_pictures_they_are_refused() {
    let db = open(|_| {});
    put(&db, "a.bmp", bytes(&bitmap((3, 3), (3, 3)))).unwrap();
    assert_eq!(code(small(&db, "a.bmp", 100)), "INVALID_ARGUMENT");
}
