// Imported before a service, whose request log would bury what the tests report. LOG_LEVEL=info shows it.
process.env.LOG_LEVEL ??= 'none';
