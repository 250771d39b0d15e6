"""One YAML file to frozen Structs, strictly, with a place for every fault."""
