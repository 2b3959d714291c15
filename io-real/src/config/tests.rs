//! Tests of the sources, their order, and what is said about mistakes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sf-config-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("home/.shardforge")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn places(&self, variables: &[(&str, &str)]) -> Places {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Places {
            file: None,
            here: self.0.clone(),
            system: self.0.join("etc.toml"),
            home: Some(self.0.join("home").display().to_string()),
            variables: variables.iter().map(own).collect(),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn complaint(text: &str) -> String {
    let directory = Directory::new("complaint");
    directory.write("shardforge.toml", text);
    let error = load(&directory.places(&[]), Layer::default()).unwrap_err().to_string();
    error.replace(&directory.0.display().to_string(), ".")
}

#[test]
fn the_last_source_wins() {
    let directory = Directory::new("order");
    let timeout = |ms: u32| format!("[raft]\nelection_timeout_ms = {ms}\n");
    let seen = |places: &Places, flags: Layer| load(places, flags).unwrap().election_timeout_ms;
    let places = directory.places(&[]);
    assert_eq!(seen(&places, Layer::default()), 200);
    directory.write("etc.toml", &timeout(201));
    assert_eq!(seen(&places, Layer::default()), 201);
    directory.write("home/.shardforge/config.toml", &timeout(202));
    assert_eq!(seen(&places, Layer::default()), 202);
    directory.write("shardforge.toml", &timeout(203));
    assert_eq!(seen(&places, Layer::default()), 203);
    directory.write("shardforge.lab.toml", &timeout(204));
    assert_eq!(seen(&directory.places(&[("SHARDFORGE_ENV", "lab")]), Layer::default()), 204);
    let places = directory
        .places(&[("SHARDFORGE_ENV", "lab"), ("SHARDFORGE_RAFT_ELECTION_TIMEOUT_MS", "205")]);
    assert_eq!(seen(&places, Layer::default()), 205);
    let mut flags = Layer::default();
    flags.set_flag("--election", "raft.election_timeout_ms", "206").unwrap();
    assert_eq!(seen(&places, flags), 206);

    // --config is read instead of the local file, not beside it.
    let mut places = directory.places(&[]);
    places.file = Some(directory.write("other.toml", "[sql]\nmax_connections = 5\n"));
    assert_eq!(seen(&places, Layer::default()), 202);
    places.file = Some(directory.0.join("missing.toml"));
    assert!(load(&places, Layer::default()).is_err());
}

#[test]
fn both_spellings_of_sizes_and_nodes_are_read() {
    let directory = Directory::new("spellings");
    directory.write(
        "shardforge.toml",
        "[cluster]\nnode_id = \"node-7\"\n[storage]\nblock_cache_size_mb = 256\n\
         write_buffer_size = \"64MB\"\n",
    );
    let settings = load(&directory.places(&[]), Layer::default()).unwrap();
    assert_eq!(settings.node, Some(7));
    assert_eq!(settings.block_cache_bytes, 256 << 20);
    assert_eq!(settings.write_buffer_bytes, 64 << 20);
    let environment = [
        ("SHARDFORGE_STORAGE__BLOCK_CACHE_SIZE", "1GiB"),
        ("SHARDFORGE_STORAGE_WRITE_BUFFER_SIZE_MB", "2"),
        ("SHARDFORGE_CLUSTER_NODE_ID", "3"),
        ("SHARDFORGE_CACHE", "/another/program/of/ours"),
    ];
    let settings = load(&directory.places(&environment), Layer::default()).unwrap();
    assert_eq!((settings.block_cache_bytes, settings.write_buffer_bytes), (1 << 30, 2 << 20));
    assert_eq!(settings.node, Some(3));
}

#[test]
fn mistakes_are_reported_with_their_place() {
    for (text, expected) in [
        (
            "[raft]\n\nelection_timeot_ms = 150\n",
            "./shardforge.toml:3:raft.election_timeot_ms: unknown key; \
             did you mean raft.election_timeout_ms?",
        ),
        (
            "[raft]\nelection_timeout_ms = 20\n",
            "./shardforge.toml:2:raft.election_timeout_ms: 20 is not between 50 and 600000",
        ),
        (
            "[raft]\nelection_timeout_ms = 140\n",
            "./shardforge.toml:2:raft.election_timeout_ms: 140 ms is less than three heartbeats of \
             50 ms: followers would call elections under a healthy leader",
        ),
        (
            "[storage]\nblock_cache_size = 256\n",
            "./shardforge.toml:2:storage.block_cache_size: 256 is not a size such as \"256MB\"",
        ),
        (
            "[storage]\nengine = \"tape\"\n",
            "./shardforge.toml:2:storage.engine: \"tape\" is not one of: rocksdb",
        ),
        ("raft = 3\n", "./shardforge.toml:1:raft: this is a section, not a value"),
        ("[weather]\nnice = true\n", "./shardforge.toml:1:weather: unknown key"),
        (
            "[cluster]\nnode_id = \"first\"\n",
            "./shardforge.toml:2:cluster.node_id: \"first\" is not a node such as 1 or \"node-1\"",
        ),
    ] {
        assert_eq!(complaint(text), expected);
    }
    assert!(complaint("[raft\n").starts_with("./shardforge.toml:1: "));
    let twice = "[storage]\nblock_cache_size = \"1MB\"\nblock_cache_size_mb = 1\n";
    assert!(complaint(twice).contains("set twice"));
    assert!(complaint("[replication]\nasync_replication = true\n").contains("acknowledged writes"));
}

#[test]
fn a_wrong_variable_is_reported_by_its_name() {
    let directory = Directory::new("variable");
    let error =
        load(&directory.places(&[("SHARDFORGE_RAFT_ELECTION_TIMEOT_MS", "1")]), Layer::default());
    assert_eq!(
        error.unwrap_err().to_string(),
        "SHARDFORGE_RAFT_ELECTION_TIMEOT_MS: unknown key; did you mean raft.election_timeout_ms?"
    );
}

#[test]
fn a_file_that_others_may_write_is_refused() {
    let directory = Directory::new("writable");
    let path = directory.write("shardforge.toml", "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let error = load(&directory.places(&[]), Layer::default()).unwrap_err();
    assert!(error.problem.contains("others may write it"), "{error}");
}

/// The two example files of the specification are good as they stand.
#[test]
fn the_specifications_examples_are_accepted() {
    let directory = Directory::new("examples");
    directory.write("shardforge.toml", include_str!("example.toml"));
    let settings = load(&directory.places(&[]), Layer::default()).unwrap();
    assert_eq!(settings.node, Some(1));
    assert_eq!(settings.join.len(), 3);
    assert_eq!((settings.election_timeout_ms, settings.heartbeat_interval_ms), (150, 50));
    assert!(settings.inactive.iter().any(|place| place.ends_with(":security.tls_enabled")));
    assert!(!settings.inactive.iter().any(|place| place.ends_with(":raft.election_timeout_ms")));

    directory.write(
        "shardforge.toml",
        "[replication]\nfactor = 3\nconsistency_level = \"strong\"\nasync_replication = false\n\
         [sharding]\nstrategy = \"hash\"\ninitial_shard_count = 16\nmax_shard_size = \"1GB\"\n\
         rebalance_threshold = 0.1\n[sql]\nquery_timeout_sec = 30\nmax_connections = 1000\n\
         statement_cache_size = 1000\n[monitoring]\nmetrics_port = 9090\nlog_level = \"info\"\n\
         enable_tracing = true\n",
    );
    let settings = load(&directory.places(&[]), Layer::default()).unwrap();
    assert_eq!((settings.shard_count, settings.query_timeout_sec), (16, 30));
    assert!(settings.http_addr_explicit);
}

#[test]
fn addresses_are_told_apart() {
    for (address, loopback) in [
        ("127.0.0.1:1", true),
        ("127.8.8.8:1", true),
        ("[::1]:1", true),
        ("localhost:1", true),
        ("0.0.0.0:1", false),
        ("10.0.0.1:1", false),
        ("db.example:1", false),
    ] {
        assert_eq!(is_loopback(address), loopback, "{address}");
        assert!(is_address(address));
    }
    assert!(!is_address("127.0.0.1") && !is_address(":5432") && !is_address("host:99999"));
}

#[test]
fn the_home_directory_is_expanded_only_where_it_is_meant() {
    assert_eq!(expand_home("~/data", Some("/home/ann")), PathBuf::from("/home/ann/data"));
    assert_eq!(expand_home("~ann/data", Some("/home/ann")), PathBuf::from("~ann/data"));
    assert_eq!(expand_home("/srv/~", Some("/home/ann")), PathBuf::from("/srv/~"));
}
