"""Puts folders of the example's assets into an S3 server of demo/s3.yaml: upload.py NAMESPACE ASSETS_DIR FOLDER...

Models go to the bucket "models", rows to the bucket "datasets".
"""

import sys
from pathlib import Path

import boto3
from kubectl import port_forward


def main(namespace: str, assets: Path, folders: list[str]) -> None:
    """Uploads every file of the folders, unless the object is there with the same size."""
    with port_forward(namespace, "service/s3", 5000) as endpoint:
        s3 = boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="demo", aws_secret_access_key="demo-secret", region_name="us-east-1"
        )
        present = {}
        for bucket in ("models", "datasets"):
            s3.create_bucket(Bucket=bucket)
            present |= {(bucket, item["Key"]): item["Size"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
        for path in sorted(p for folder in folders for p in (assets / folder).rglob("*") if p.is_file()):
            bucket = "datasets" if path.stem.startswith(("train", "validation")) else "models"
            key = path.relative_to(assets).as_posix()
            if present.get((bucket, key)) != path.stat().st_size:
                print(f"  s3://{bucket}/{key}  {path.stat().st_size / 1e6:.1f} MB", flush=True)
                s3.upload_file(str(path), bucket, key)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
