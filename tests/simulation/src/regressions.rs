//! Seeds that failed once, with what they found. They are always run.
//!
//! A seed is a course of events in one version of the engine; in a later one it takes another course. What a
//! seed found is therefore also told as a story of its own, in `tests/stories.rs`.

/// Seeds whose finding is mended, or stands in the README as what cannot be promised beside a peer.
pub const REGRESSIONS: &[(u64, &str)] = &[
    (270, "a pointer whose conditional write arrived twice lost its snapshot to its own compactor"),
    (307, "the same, with three epochs before it"),
    (372, "the same, in a young mesh"),
    (
        41,
        "a change file that was cut in transit stayed in quarantine after a snapshot had brought its effects",
    ),
    (71, "the same on two devices"),
    (7, "a snapshot that could not be read stayed in quarantine after a later one was adopted"),
    (290, "the same"),
    (159, "beside a NEW peer that compacts a deletion can stay unknown to who has not read it"),
    (55, "a published write at or below the floor of a B10 peer vanishes from the device that wrote it"),
    (487, "a B10 peer that founds the mesh anew leaves newcomers without what the lost snapshot held"),
    (743, "the same"),
    (1895, "the same"),
    (671, "a wiped device is not held to what it once wrote"),
    (1375, "the same"),
    (1855, "the same"),
    (1887, "a NEW peer replaces a value of a fast clock under an older one, and compacts"),
    (231, "an own file, read cut before its upload was confirmed, stayed in quarantine"),
    (81, "a row that was deleted here before anything of it was published came back with the floor"),
    (185, "a write that was settled with the floor was told as published"),
    (11, "late work on a row that the snapshot has was taken for the return of a deleted row"),
    (161, "the same"),
    (13, "so was a row that its writer made, and that nobody else could know of as far as it could tell"),
    (14, "the same"),
    (133, "the same"),
    (237, "the same"),
    (258, "the same"),
    (269, "the same"),
    (93, "the same; a copy of the writer's store had published the row"),
    (241, "a new device wrote late work again under a clock that the next floor took, and was wiped"),
    (65, "a write that made way for a later one, which is in quarantine, was taken for lost"),
    (217, "the same"),
];
