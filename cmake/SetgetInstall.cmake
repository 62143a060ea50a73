# Filled by the packaging work: install rules, package configuration, pkg-config and CPack.
