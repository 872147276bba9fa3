#!/bin/sh
# Runs the tests that the kernel's command line names (citygate.tests=), says how they ended, and switches the machine off.
# They run with the package's own Python and libraries; pytest is Debian's.
cd /vagrant || exit
export LANG=C.UTF-8 COLUMNS=110 TERM=dumb PYTHONDONTWRITEBYTECODE=1
tests=$(sed -n 's/.*citygate\.tests=\([a-z]*\).*/\1/p' /proc/cmdline)
echo "vm: $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r), citygate $(citygate version), tests: $tests"
status=0
/usr/lib/citygate/bin/python -c '
import sys
sys.path.append("/usr/lib/python3/dist-packages")
import pytest
sys.exit(pytest.main())' -v --color=no --tb=short -p no:cacheprovider -c tests/vm/inside/pytest.ini "tests/vm/inside/test_$tests.py" || status=$?
[ $status = 0 ] || journalctl -b --no-pager -n 60 -u 'citygate*' -u prometheus
echo "vm: exit status $status"
sync
systemctl poweroff
