"""cloud-init's data source for EC2, on a host that has no DMI data to prove by that it is on EC2.

Only a host that is sure to be on AWS asks for metadata by version 2, with a session token.
"""

from cloudinit import sources
from cloudinit.sources.DataSourceEc2 import CloudNames, DataSourceEc2


class DataSourceEc2Lab(DataSourceEc2):
    """The data source Ec2, sure of its cloud."""

    def _get_cloud_name(self):
        return CloudNames.AWS


def get_datasource_list(depends):
    """Return the data sources of this module that need no more than `depends`."""
    available = [(DataSourceEc2Lab, (sources.DEP_FILESYSTEM, sources.DEP_NETWORK))]
    return sources.list_from_depends(depends, available)
