export {{ name }}=hdfs://{{ namenode_host }}:{{ namenode_port }}/user/local/{{ owner }}/data/gitarchive/{{ name }}
