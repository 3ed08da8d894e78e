"""The erf loss and the steps of its flow compiled by numba, where numba is installed and works."""
