//! Small pictures.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use interocitor_core::{Interocitor, StoreLocation, mailbox::MemoryMailbox};
use proptest::prelude::*;

use super::device;

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// Left half red, right half blue.
fn two_halves(width: u32, height: u32) -> DynamicImage {
    let colour = |x: u32| if x < width / 2 { [230, 20, 20] } else { [20, 20, 230] };
    RgbImage::from_fn(width, height, |x, _| Rgb(colour(x))).into()
}

async fn code(db: &Interocitor, path: &str, edge: u32) -> &'static str {
    db.get_thumbnail(path, edge).await.unwrap_err().code().as_str()
}

#[tokio::test]
async fn every_format_becomes_a_small_picture() {
    let db = device(StoreLocation::Memory, &MemoryMailbox::new()).await;
    let picture = two_halves(600, 300);
    let formats = [
        (ImageFormat::Png, "png"),
        (ImageFormat::Jpeg, "jpg"),
        (ImageFormat::Gif, "gif"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Bmp, "bmp"),
    ];
    for (format, ending) in formats {
        let path = format!("a.{ending}");
        db.put_image(&path, encoded(&picture, format), None).await.unwrap();
        let small = db.get_thumbnail(&path, 120).await.unwrap();
        assert_eq!(
            (small.width, small.height, small.content_type.as_str()),
            (120, 60, "image/jpeg"),
            "{path}"
        );
        let shown = image::load_from_memory(&small.bytes).unwrap().to_rgb8();
        assert_eq!(shown.dimensions(), (120, 60));
        assert!(shown.get_pixel(10, 30).0[0] > 180 && shown.get_pixel(110, 30).0[2] > 180, "{path}");
    }
    let icon = encoded(&two_halves(64, 64).to_rgba8().into(), ImageFormat::Ico);
    db.put_image("a.ico", icon, None).await.unwrap();
    assert_eq!(db.get_thumbnail("a.ico", 32).await.unwrap().width, 32);
    // Never larger than the image.
    assert_eq!(db.get_thumbnail("a.png", 2048).await.unwrap().width, 600);
    let glass: DynamicImage = RgbaImage::from_pixel(100, 100, Rgba([9, 9, 9, 100])).into();
    db.put_image("glass.png", encoded(&glass, ImageFormat::Png), None).await.unwrap();
    let small = db.get_thumbnail("glass.png", 10).await.unwrap();
    assert_eq!(small.content_type, "image/png");
    assert_eq!(image::load_from_memory(&small.bytes).unwrap().to_rgba8().get_pixel(5, 5).0[3], 100);
}

/// A JPEG whose camera was held on its side: an APP1 segment with orientation 6 after its first two bytes.
fn on_its_side(picture: &DynamicImage) -> Vec<u8> {
    let jpeg = encoded(picture, ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, 0xe1]);
    bytes.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    bytes.append(&mut exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

#[tokio::test]
async fn a_picture_stands_upright() {
    let db = device(StoreLocation::Memory, &MemoryMailbox::new()).await;
    db.put_image("a.jpg", on_its_side(&two_halves(400, 200)), None).await.unwrap();
    let small = db.get_thumbnail("a.jpg", 100).await.unwrap();
    assert_eq!((small.width, small.height), (50, 100));
    let shown = image::load_from_memory(&small.bytes).unwrap().to_rgb8();
    assert!(shown.get_pixel(25, 5).0[0] > 180 && shown.get_pixel(25, 95).0[2] > 180, "turned clockwise");
}

#[tokio::test]
async fn a_small_picture_stays_when_the_image_goes_from_this_device_and_goes_with_it_from_the_mesh() {
    let folder = tempfile::tempdir().unwrap();
    let store = || StoreLocation::File(folder.path().join("a.db"));
    let mailbox = MemoryMailbox::new();
    let db = device(store(), &mailbox).await;
    db.put_image("a.png", encoded(&two_halves(300, 300), ImageFormat::Png), None).await.unwrap();
    let small = db.get_thumbnail("a.png", 50).await.unwrap();
    db.sync().await.unwrap();
    db.evict_file("a.png").await.unwrap();
    db.shutdown().await.unwrap();
    let db = device(store(), &mailbox).await;
    assert_eq!(db.get_thumbnail("a.png", 50).await.unwrap(), small);
    assert!(!db.list_files("a.png").await.unwrap().files[0].is_here, "nothing was downloaded for it");
    // Another size needs the image.
    assert_eq!(db.get_thumbnail("a.png", 20).await.unwrap().width, 20);
    assert!(db.list_files("a.png").await.unwrap().files[0].is_here);
    let other = encoded(&two_halves(300, 150), ImageFormat::Png);
    db.put_image("a.png", other, None).await.unwrap();
    assert_eq!(db.get_thumbnail("a.png", 50).await.unwrap().height, 25);
    db.delete_file("a.png").await.unwrap();
    assert_eq!(code(&db, "a.png", 50).await, "FILE_NOT_FOUND");
    db.shutdown().await.unwrap();
    let kept = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM thumbnails').fetchone()[0])"])
        .arg(folder.path().join("a.db"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout).trim(), "0", "what was deleted does not linger");
}

/// A PNG whose head tells of `width` x `height` pixels.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&two_halves(8, 8), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&sum);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[tokio::test]
async fn bombs_and_what_is_no_image_are_refused() {
    let db = device(StoreLocation::Memory, &MemoryMailbox::new()).await;
    for (name, bytes) in
        [("wide", bomb(40_000, 1)), ("large", bomb(30_000, 30_000)), ("odd", bomb(u32::MAX >> 1, 1))]
    {
        db.put_image(name, bytes, None).await.unwrap();
        assert_eq!(code(&db, name, 100).await, "LIMIT", "{name}");
    }
    let png = encoded(&two_halves(200, 200), ImageFormat::Png);
    let none: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("text", b"this is no image".to_vec()),
        ("svg", b"<svg/>".to_vec()),
        ("torn", png[..png.len() / 2].to_vec()),
        ("short", bomb(500, 500)),
    ];
    for (name, bytes) in none {
        db.put_image(name, bytes, None).await.unwrap();
        assert_eq!(code(&db, name, 100).await, "DECODE", "{name}");
    }
    for edge in [0, 2049] {
        assert_eq!(code(&db, "text", edge).await, "INVALID_ARGUMENT");
    }
    assert_eq!(code(&db, "none", 100).await, "FILE_NOT_FOUND");
    assert_eq!(code(&db, "../x", 100).await, "INVALID_ARGUMENT");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_images_are_pictures_or_errors(
        kind in 0..5usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
        is_torn in any::<bool>(),
    ) {
        let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp];
        let mut bytes = encoded(&two_halves(40, 30), formats[kind]);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if is_torn {
            bytes.truncate(end.index(bytes.len()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = device(StoreLocation::Memory, &MemoryMailbox::new()).await;
            db.put_image("a", bytes, None).await.unwrap();
            if let Err(error) = db.get_thumbnail("a", 16).await {
                let code = error.code().as_str();
                assert!(matches!(code, "DECODE" | "LIMIT"), "{error:?}");
            }
        });
    }
}
