class hadoop::namenode($port = 1, $http_port = 2, $hdfs_user = 'hdfs', $replicas = 3, $old = '', $namenode_host = []) { }
