use std::{fs, os::unix::fs::FileExt as _};

use wharf_error::{Kind, Result};

use super::{Folder, Images, row};
use crate::Store;

fn refused(result: Result<Store>) -> wharf_error::Error {
    result.map(|_| ()).unwrap_err()
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let (folder, other) = (Folder::new(), Folder::new());
    let store = folder.open();
    let error = refused(Store::open(&folder.meta(), &other.state()));
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    let me = format!("in use by process {} (", std::process::id());
    assert!(error.to_string().contains(&me), "{error}");
    let error = refused(Store::open(&other.meta(), &folder.state()));
    assert!(error.to_string().contains(&me), "{error}");
    drop(store);
    folder.open();
}

#[test]
fn a_lock_that_is_about_to_go_is_waited_for() {
    let folder = Folder::new();
    let store = folder.open();
    let opened = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(store);
        });
        Store::open(&folder.meta(), &folder.state()).map(drop)
    });
    opened.unwrap();
}

#[test]
fn a_state_file_of_another_root_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    drop(folder.open());
    drop(other.open());
    let error = refused(Store::open(&folder.meta(), &other.state()));
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("belongs to another root"), "{error}");
    folder.open();
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let folder = Folder::new();
    fs::write(folder.meta(), "this is my diary\n".repeat(1000)).unwrap();
    let error = refused(Store::open(&folder.meta(), &folder.state()));
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains("meta.redb: open"), "{error}");
    assert!(fs::read_to_string(folder.meta()).unwrap().starts_with("this is my diary"));

    let folder = Folder::new();
    let somebodys = redb::Database::create(folder.meta()).unwrap();
    let txn = somebodys.begin_write().unwrap();
    txn.open_table(redb::TableDefinition::<u64, u64>::new("numbers")).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    drop(somebodys);
    let error = refused(Store::open(&folder.meta(), &folder.state()));
    assert!(error.to_string().contains("no schema row, but a table numbers"), "{error}");
}

#[test]
fn a_directory_or_a_missing_folder_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.meta()).unwrap();
    let error = refused(Store::open(&folder.meta(), &folder.state()));
    assert!(error.to_string().contains("meta.redb"), "{error}");
    let error = refused(Store::open(&folder.0.path().join("no/meta.redb"), &folder.state()));
    assert!(error.to_string().contains("no/meta.redb: open: No such file"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    let db = redb::Database::open(folder.meta()).unwrap();
    let txn = db.begin_write().unwrap();
    let own = redb::TableDefinition::<&str, &[u8]>::new("wharf");
    txn.open_table(own).unwrap().insert("schema", b"2".as_slice()).unwrap();
    txn.commit().unwrap();
    drop(db);
    let error = refused(Store::open(&folder.meta(), &folder.state()));
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("schema 2 is newer than 1"), "{error}");
}

#[test]
fn damage_is_found_when_the_file_is_opened() {
    let folder = Folder::new();
    let store = folder.open();
    let write = |w: &mut crate::Writer<'_>| {
        (0..500).try_for_each(|number| w.put::<Images>(&format!("a/{number}"), &row(&"x".repeat(200))))
    };
    store.write_durable(write).unwrap();
    drop(store);
    // All but the header.
    let file = fs::OpenOptions::new().write(true).open(folder.meta()).unwrap();
    let length = file.metadata().unwrap().len();
    for offset in (8192..length).step_by(512) {
        file.write_all_at(&[0xa5; 16], offset).unwrap();
    }
    let error = refused(Store::open(&folder.meta(), &folder.state()));
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
    assert!(error.to_string().contains("meta.redb"), "{error}");
}

#[test]
fn a_row_of_another_shape_names_itself() {
    enum Numbers {}
    impl crate::Table for Numbers {
        const NAME: &'static str = "images";
        const LIFETIME: crate::Lifetime = crate::Lifetime::Durable;
        type Row = u64;
    }
    let folder = Folder::new();
    let store = folder.open();
    store.write_durable(|w| w.put::<Images>("a/b", &row("x"))).unwrap();
    let error = store.read(|r| r.get::<Numbers>("a/b")).unwrap_err();
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains("table images: row a/b"), "{error}");
}
