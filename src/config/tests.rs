use super::*;

fn surroundings() -> Surroundings {
    Surroundings { cpus: 2, user_cache: Some("/home/user/.cache/simile".into()) }
}

fn assemble(file: &Settings, given: &Settings) -> Result<Config, ConfigError> {
    Config::assemble(file, given, &|_| Origin::Flag, &surroundings())
}

fn from_file(text: &str) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("simile.toml");
    fs_err::write(&file, text).unwrap();
    Settings::load(&file)
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = from_file("workers = 3\nwaiting_max = 5\nmessage_bytes_max = \"1MiB\"").unwrap();
    let mut given = Settings::default();
    given.server.workers = Some(9);
    let config = assemble(&file, &given).unwrap();
    assert_eq!((config.workers, config.waiting_max), (9, 5));
    assert_eq!((config.message_bytes_max, config.streams_max), (1 << 20, 256));
    assert_eq!(config.origin("workers"), Origin::Flag);
    assert_eq!(config.origin("waiting_max"), Origin::File);
    assert_eq!(config.origin("streams_max"), Origin::Default);
    assert_eq!(config.cache, Path::new("/home/user/.cache/simile"));
}

#[test]
fn every_mistake_is_named_at_once() {
    let file = from_file("workers = 0\nlisten = \"0.0.0.0:1\"\nstreams_max = 0").unwrap();
    let text = assemble(&file, &Settings::default()).unwrap_err().to_string();
    assert!(text.contains("workers = 0: expected 1 to 1024"), "{text}");
    assert!(text.contains("streams_max = 0"), "{text}");
    assert!(text.contains("--insecure"), "{text}");
}

#[test]
fn another_address_needs_insecure() {
    let mut given = Settings::default();
    given.server.listen = Some("0.0.0.0:7465".parse().unwrap());
    assert!(assemble(&Settings::default(), &given).is_err());
    given.server.insecure = Some(true);
    assert!(assemble(&Settings::default(), &given).is_ok());
}

#[test]
fn a_folder_for_clients_does_not_hold_what_the_server_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let mut given = Settings::default();
    given.places.data = Some(folder.path().join("data"));
    given.server.ingest_root = Some(folder.path().to_owned());
    let text = assemble(&Settings::default(), &given).unwrap_err().to_string();
    assert!(text.contains("ingest_root = ") && text.contains("apart from data = "), "{text}");
    let root = folder.path().join("files");
    fs_err::create_dir(&root).unwrap();
    given.server.ingest_root = Some(root);
    let config = assemble(&Settings::default(), &given).unwrap();
    assert!(config.ingest_root.is_some() && !config.ingest_urls, "one is not the other");
}

#[test]
fn a_setting_that_does_not_exist_is_refused_by_name() {
    let text = from_file("wokers = 3").unwrap_err().to_string();
    assert!(text.contains("no setting `wokers`") && text.contains("workers"), "{text}");
    assert!(from_file("workers = \"many\"").is_err());
    assert!(from_file("workers = ").is_err());
}

#[test]
fn printed_settings_are_read_back_as_the_same() {
    let mut given = Settings::default();
    given.places.onnxruntime = Some("/opt/\"odd\"/lib.so".into());
    given.server.cache_bytes_max = Some(Bytes(3 << 20));
    let folder = tempfile::tempdir().unwrap();
    given.server.ingest_root = Some(folder.path().to_owned());
    given.server.ingest_urls = Some(true);
    let config = assemble(&Settings::default(), &given).unwrap();
    let again = assemble(&from_file(&config.to_toml()).unwrap(), &Settings::default()).unwrap();
    assert_eq!(Config { origins: BTreeMap::new(), ..config }.to_toml(), {
        Config { origins: BTreeMap::new(), ..again }.to_toml()
    });
}

#[test]
fn every_setting_is_printed() {
    let config = assemble(&Settings::default(), &Settings::default()).unwrap();
    let text = config.to_toml();
    for name in settings::setting_names() {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("{name} ="))
                || line.starts_with(&format!("# {name} is"))),
            "{name}"
        );
    }
}

#[test]
fn bytes_are_read_with_units_and_refused_without_sense() {
    assert_eq!("64KiB".parse(), Ok(Bytes(65_536)));
    assert_eq!("7".parse(), Ok(Bytes(7)));
    for wrong in ["", "MiB", "1.5MiB", "1TiB", "-1", "99999999999999999999", "20000000000GiB"] {
        assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
    }
    assert_eq!(Bytes(65_536).to_string(), "64KiB");
    assert_eq!(Bytes(65_537).to_string(), "65537");
}
