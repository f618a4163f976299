#!/bin/sh
# A headless Java for the tests on Apache Spark, where it is missing and can be had.
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless && exit 0
fi
echo "Java is missing and cannot be installed here: the tests on Apache Spark will be skipped." >&2
echo "Install a JRE 17 or 21 (Debian: apt-get install openjdk-17-jre-headless) to run them." >&2
