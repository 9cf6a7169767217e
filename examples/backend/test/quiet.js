// Imported before the application, whose request log would bury what the tests report. Processes that a test starts log as usual.
process.env.LOG_LEVEL = 'error';
