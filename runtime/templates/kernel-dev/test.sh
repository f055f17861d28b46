# Runs in the guest, as its first program. Its status is the machine's.
cat /proc/cmdline
dmesg | tail -n 5
